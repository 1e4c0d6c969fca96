package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"text/tabwriter"

	"github.com/tidemark-dev/tidemark/topology"
)

// A verdict is what the demo has found.
type verdict struct {
	sent, journal int64 // records: acknowledged, and in the topics from outside
	due, done     int64 // records that groups have to read, and have committed; due is -1 if not known
	comparisons   []comparison
}

// A comparison is of the rows of one place with what they should be.
type comparison struct {
	place                 string
	right, wrong          int
	missing, extra        int
	example               string // of what is not right
	keysOnly, notReplayed bool
}

func (c comparison) agrees() bool { return c.wrong+c.missing+c.extra == 0 }

// texts are rows by key, both as text.
type texts map[string]string

// compare replays the journal through the topology, and compares the rows that
// it gives with those of the tables, and these with what the sinks hold.
func (d *demo) compare(ctx context.Context) (verdict, error) {
	v := verdict{sent: d.sent.Load()}
	c := d.processor.Status().Counts
	v.done = c.Records + c.Dropped + c.Skipped + c.DeadLetters
	journals := map[string]int64{}
	for _, g := range singles(d.topology) {
		table, err := d.rows(ctx, g)
		if err != nil {
			return v, fmt.Errorf("table %q: %w", g.Store, err)
		}
		wanted := table
		if d.fromOutside(g) {
			if wanted, journals[g.Input], err = d.replay(ctx, g); err != nil {
				return v, fmt.Errorf("replay %s: %w", g.Input, err)
			}
			if v.due >= 0 {
				v.due += journals[g.Input]
			}
		} else {
			v.due = -1 // transactions leave marks in topics that groups write to each other
		}
		one := compared("table "+g.Store, wanted, table)
		one.notReplayed = !d.fromOutside(g)
		v.comparisons = append(v.comparisons, one)
		for _, sink := range g.Sinks {
			one, err := d.compareSink(ctx, g, sink, wanted)
			if err != nil {
				return v, fmt.Errorf("%s: %w", sink, err)
			}
			v.comparisons = append(v.comparisons, one)
		}
	}
	for _, records := range journals {
		v.journal += records
	}
	return v, nil
}

// fromOutside reports whether a group reads what no group has written.
func (d *demo) fromOutside(g *single) bool {
	return !slices.ContainsFunc(singles(d.topology), func(other *single) bool {
		return other.Table == g.Input || slices.Contains(other.Outputs, g.Input)
	})
}

// rows returns a group's table, as the view shows it.
func (d *demo) rows(ctx context.Context, g *single) (texts, error) {
	found := texts{}
	_, err := d.remote.scan(ctx, g.Store, scan{}, func(line json.RawMessage) error {
		var r row
		err := json.Unmarshal(line, &r)
		found[r.Key] = string(r.Value)
		return err
	})
	return found, err
}

// A memory holds rows for a replay.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, int64, error)            { return m[string(key)], 0, nil }
func (memory) Scan([]byte, []byte) iter.Seq2[topology.Row, error] { return nil }
func (memory) Due() iter.Seq2[topology.Row, error]                { return nil }

// replay runs a group's input through its tasks, and returns the rows that
// they make and the number of records.
func (d *demo) replay(ctx context.Context, g *single) (texts, int64, error) {
	partitions, err := d.client.Partitions(g.Input)
	if err != nil {
		return nil, 0, err
	}
	found, records := texts{}, int64(0)
	for _, partition := range partitions {
		rows := memory{}
		task, err := g.NewTask(partition, func(string) topology.Rows { return rows }, "", d.settings.processor(d.topology, d.stderr).Policies)
		if err != nil {
			return nil, 0, err
		}
		err = readPartition(ctx, d.client, g.Input, partition, func(r topology.Raw) error {
			records++
			writes, err := task.Process(r)
			if _, ok := errors.AsType[*topology.RecordError](err); ok {
				return nil // the policy has let it pass, or the processor would have stopped
			}
			for _, w := range writes.Rows {
				if w.Value == nil {
					delete(rows, string(w.Key))
				} else {
					rows[string(w.Key)] = slices.Clone(w.Value)
				}
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		for key, value := range rows {
			if err := d.text(found, g, []byte(key), value); err != nil {
				return nil, 0, err
			}
		}
	}
	return found, records, nil
}

// text adds a row, as text.
func (d *demo) text(to texts, g *single, key, value []byte) error {
	k, v, err := d.topology.Format(topology.Raw{Key: key, Value: value, Position: topology.Position{Topic: g.Store}})
	to[k] = string(v)
	return err
}

func (d *demo) compareSink(ctx context.Context, g *single, sink topology.Sink, wanted texts) (comparison, error) {
	found, lookup := texts{}, d.program.Demo.Lookup
	for key, err := range sink.Keys(ctx, g.Store) {
		if err != nil {
			return comparison{}, err
		}
		var value []byte
		if lookup != nil {
			if value, err = lookup(ctx, g.Store, key); err != nil {
				return comparison{}, err
			}
		}
		if err := d.text(found, g, key, value); err != nil {
			return comparison{}, err
		}
	}
	if lookup == nil { // keys only
		keys := texts{}
		for key := range wanted {
			keys[key] = ""
		}
		wanted = keys
	}
	c := compared(sink.String(), wanted, found)
	c.keysOnly = lookup == nil
	return c, nil
}

// compared compares rows with what they should be.
func compared(place string, wanted, found texts) comparison {
	c := comparison{place: place}
	note := func(n *int, format string, args ...any) {
		*n++
		if c.example == "" {
			c.example = fmt.Sprintf(format, args...)
		}
	}
	for key, want := range wanted {
		switch got, ok := found[key]; {
		case !ok:
			note(&c.missing, "%s is missing, should be %s", key, want)
		case got != want:
			note(&c.wrong, "%s is %s, should be %s", key, got, want)
		default:
			c.right++
		}
	}
	for key, got := range found {
		if _, ok := wanted[key]; !ok {
			note(&c.extra, "%s is %s, should not be there", key, got)
		}
	}
	return c
}

// tell prints the verdict. A difference is an error.
func (d *demo) tell(v verdict) error {
	fmt.Fprintf(d.stdout, "%s acknowledged, %s in the journal, %s processed here", counted(v.sent, "record", "records"), grouped(v.journal), grouped(v.done))
	// Others may have sent, and processed, a part; more than there is means twice.
	agree := v.sent <= v.journal && (v.due < 0 || v.done <= v.due)
	fmt.Fprint(d.stdout, "\n\n")
	t := tabwriter.NewWriter(d.stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "right\twrong\tmissing\textra\t")
	for _, c := range v.comparisons {
		note := ""
		switch {
		case c.keysOnly:
			note = " (keys only)"
		case c.notReplayed:
			note = " (taken as it is)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s%s\n", grouped(int64(c.right)), grouped(int64(c.wrong)), grouped(int64(c.missing)), grouped(int64(c.extra)), "  "+c.place, note)
		agree = agree && c.agrees()
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if agree {
		_, err := fmt.Fprintln(d.stdout, "\nJournal, tables and sinks agree.")
		return err
	}
	for _, c := range v.comparisons {
		if c.example != "" {
			fmt.Fprintf(d.stdout, "%s: %s\n", c.place, c.example)
		}
	}
	return &failure{exitDiffers, errors.New("journal, tables and sinks differ")}
}
