package cmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/tidemark-dev/tidemark/topology"
)

func (s *session) sendCommand() command {
	var null bool
	return command{
		name: "send", args: "TOPIC [KEY [VALUE]]",
		help: "send a record, or one for each line of standard input",
		more: `A value is JSON, checked by the topic's codec before it is sent; the partition is
the one that Java's producers choose. A line is a key and a value, with a tab
between them, or else the first space: "tables scan" prints such lines. A bad
line ends it; what stands before is sent.`,
		flags: func(f *flag.FlagSet) {
			f.BoolVar(&null, "null", false, "send tombstones: there is a KEY and no VALUE")
		},
		run: func(ctx context.Context, args []string) error { return s.send(ctx, args, null) },
	}
}

func (s *session) send(ctx context.Context, args []string, null bool) error {
	switch n := len(args); {
	case n < 1 || n > 3:
		return usage("got %d arguments, want TOPIC, TOPIC KEY VALUE or TOPIC KEY --null", n)
	case n == 3 && null:
		return usage("--null: there is a value, too")
	case n == 2 && !null:
		return usage("a value is missing; --null sends a tombstone")
	}
	topo, err := s.topology()
	if err != nil {
		return err
	}
	topic := args[0]
	parse := func(key string, value []byte) (topology.Raw, error) {
		r, err := topo.Parse(topic, key, value)
		if err == nil && value != nil && r.Value == nil {
			err = errors.New("null is a tombstone: say --null")
		}
		r.Topic = topic
		return r, err
	}
	if err := isTopic(topo, topic); err != nil {
		return err
	}

	// What is typed is checked before anything is sent.
	var one topology.Raw
	if len(args) > 1 {
		var value []byte
		if !null {
			value = []byte(args[2])
		}
		if one, err = parse(args[1], value); err != nil {
			return err
		}
	}
	client, err := s.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := newSender(client)
	if err != nil {
		return err
	}
	if len(args) > 1 {
		err = out.send(ctx, one)
	} else {
		err = s.sendLines(ctx, out, null, parse)
	}
	if closed := out.close(); closed != nil {
		err = closed // the first one, of which the other may be a consequence
	}
	fmt.Fprintf(s.stderr, "%s to %s\n", counted(out.acked.Load(), "record sent", "records sent"), topic)
	return err
}

// sendLines sends a record for each line. A bad line ends it.
func (s *session) sendLines(ctx context.Context, out *sender, null bool, parse func(string, []byte) (topology.Raw, error)) error {
	type line struct {
		text []byte
		err  error
	}
	lines := make(chan line, 1000)
	go func() { // ends with the input, or with the process
		in := bufio.NewReaderSize(s.stdin, 1<<16)
		for {
			text, err := in.ReadBytes('\n')
			select {
			case lines <- line{text, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for n := 1; ; n++ {
		var l line
		select {
		case l = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, l.err)
		}
		if text := bytes.TrimRight(l.text, "\r\n"); len(text) > 0 {
			key, value, err := divide(text, null)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			r, err := parse(key, value)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			if err := out.send(ctx, r); err != nil {
				return err
			}
		}
		if errors.Is(l.err, io.EOF) {
			return nil
		}
	}
}

// divide takes a line apart at its first tab, or else at its first space. With
// null the whole line is a key.
func divide(line []byte, null bool) (key string, value []byte, err error) {
	if null {
		return string(line), nil, nil
	}
	before, after, ok := bytes.Cut(line, []byte("\t"))
	if !ok {
		before, after, ok = bytes.Cut(line, []byte(" "))
	}
	if !ok {
		return "", nil, fmt.Errorf("%q has a key and no value; --null sends tombstones", line)
	}
	return string(before), after, nil
}

// isTopic refuses names that are not a topic of the topology, as a store's.
func isTopic(topo *topology.Topology, name string) error {
	topics := topo.Topics()
	for _, t := range topics {
		if t == name {
			return nil
		}
	}
	return usage("there is no topic %q%s, but %s", name, suggestion(name, topics), strings.Join(topics, ", "))
}

// counted returns a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes a number with commas.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	start := len(digits) % 3
	if n < 0 {
		start = (len(digits)-1)%3 + 1
	}
	text := digits[:start]
	for i := start; i < len(digits); i += 3 {
		if text != "" && text != "-" {
			text += ","
		}
		text += digits[i : i+3]
	}
	return text
}
