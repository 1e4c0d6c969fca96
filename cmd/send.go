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
	var lines lineFormat
	return command{
		name: "send", args: "TOPIC [KEY [VALUE]]",
		help: "send a record, or one for each line of standard input",
		more: `A value is JSON, checked by the topic's codec before it is sent, and sent as it
is; a field that the topic's type does not know is named in a warning. The
partition is the one that Java's producers choose. A line is a key, a tab, and a
value: "tables scan" prints such lines, and "tables watch" such as --null reads.
In a key \n, \t, \r and \xNN are what does not print, and \\ is a backslash. A bad
line ends it; what stands before is sent.`,
		flags: func(f *flag.FlagSet) {
			f.BoolVar(&lines.null, "null", false, "a tombstone: KEY has no VALUE; of lines, those without a value, or with null")
			f.StringVar(&lines.separator, "key-separator", "\t", "`text` between key and value of a line; \\t is a tab")
			f.BoolVar(&lines.noKey, "no-key", false, "send records without a key: there is no KEY, a line is a value")
		},
		run: func(ctx context.Context, args []string) error { return s.send(ctx, args, lines) },
	}
}

// A lineFormat is how a record is typed.
type lineFormat struct {
	null, noKey bool
	separator   string
}

// A recordReader reads records for one topic, and says once which fields are
// not known.
type recordReader struct {
	lineFormat
	topic   string
	topo    *topology.Topology
	unknown map[string]bool
	warn    func(text string)
}

func (s *session) send(ctx context.Context, args []string, format lineFormat) error {
	switch n := len(args); {
	case format.null && format.noKey:
		return usage("--null, --no-key: a record has a key or a value")
	case format.noKey && (n < 1 || n > 2):
		return usage("got %d arguments, want TOPIC VALUE --no-key, or TOPIC --no-key and lines", n)
	case n < 1 || n > 3:
		return usage("got %d arguments, want TOPIC, TOPIC KEY VALUE or TOPIC KEY --null", n)
	case n == 3 && format.null:
		return usage("--null: there is a value, too")
	case n == 2 && !format.null && !format.noKey:
		return usage("a value is missing; --null sends a tombstone")
	case n > 1 && s.parser.typed["key-separator"]:
		return usage("--key-separator is for lines")
	case format.noKey && s.parser.typed["key-separator"]:
		return usage("--key-separator, --no-key: there is no key")
	}
	var err error
	if format.separator, err = unescape(format.separator); err != nil || format.separator == "" {
		return usage("--key-separator: want a text that stands between key and value, such as : or \\t")
	}
	topo, err := s.topology()
	if err != nil {
		return err
	}
	if err := isTopic(topo, args[0]); err != nil {
		return err
	}
	in := &recordReader{lineFormat: format, topic: args[0], topo: topo, unknown: map[string]bool{}, warn: func(text string) { s.note(text) }}

	// What is typed is checked before anything is sent.
	var one topology.Raw
	switch {
	case len(args) == 3:
		one, err = in.record(args[1], []byte(args[2]))
	case len(args) == 2 && format.noKey:
		one, err = in.record("", []byte(args[1]))
	case len(args) == 2:
		one, err = in.record(args[1], nil)
	}
	if err != nil {
		return err
	}
	client, err := s.kafka(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := newSender(client, largest(client, args[0]))
	if err != nil {
		return err
	}
	if len(args) > 1 {
		err = out.send(ctx, one)
	} else {
		err = s.sendLines(ctx, out, in)
	}
	if closed := out.close(); closed != nil {
		err = closed // the first one, of which the other may be a consequence
	}
	s.note(fmt.Sprintf("%s to %s", counted(out.acked.Load(), "record sent", "records sent"), in.topic))
	return err
}

// record makes a record of a key, as it is typed, and a value, nil for a tombstone.
func (in *recordReader) record(key string, value []byte) (r topology.Raw, err error) {
	errNull := errors.New(`null is a tombstone: say --null; a text is "null", with quotes`)
	if string(bytes.TrimSpace(value)) == "null" {
		return r, errNull
	}
	if in.noKey {
		r.Value, err = in.topo.ParseValue(in.topic, value)
	} else if key, err = unescape(key); err == nil {
		r, err = in.topo.Parse(in.topic, key, value)
	}
	if err == nil && value != nil && r.Value == nil {
		err = errNull
	}
	if err != nil {
		return topology.Raw{}, err
	}
	if unknown := in.topo.UnknownField(in.topic, value); unknown != nil && !in.unknown[unknown.Error()] {
		in.unknown[unknown.Error()] = true
		in.warn(fmt.Sprintf("warning: %v: it is sent, and whoever reads the record with this program's type passes over it", unknown))
	}
	r.Topic = in.topic
	return r, nil
}

// line makes a record of a line.
func (in *recordReader) line(text string) (topology.Raw, error) {
	if in.noKey {
		return in.record("", []byte(text))
	}
	key, value, ok := strings.Cut(text, in.separator)
	switch {
	case in.null && (!ok || strings.TrimSpace(value) == "null"):
		return in.record(key, nil)
	case !ok:
		return topology.Raw{}, fmt.Errorf("%q has a key and no value behind %q; --null sends tombstones, --no-key values, --key-separator names another separator", text, in.separator)
	}
	return in.record(key, []byte(value))
}

// sendLines sends a record for each line. A bad line ends it.
func (s *session) sendLines(ctx context.Context, out *sender, records *recordReader) error {
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
			r, err := records.line(string(text))
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
