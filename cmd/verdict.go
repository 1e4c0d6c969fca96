package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/topology"
)

// A verdict is what the demo has found.
type verdict struct {
	sent, journal int64 // records: acknowledged, and in the topics from outside
	due, done     int64 // records that groups have to read, and have committed; due is -1 if not known
	left          int64 // records that were waited for in vain
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

// compare replays the journals through the groups that can be replayed, and
// compares the rows that they give with those of the tables, and these with what
// the sinks hold.
func (d *demo) compare(ctx context.Context) (verdict, error) {
	v := verdict{sent: d.sent.Load()}
	status := d.processor.Status()
	for t, lag := range behind(status) {
		if d.lagCounts(t.group) {
			v.left += lag
		}
	}
	c := status.Counts
	v.done = c.Records
	if err := d.count(ctx, &v); err != nil {
		return v, err
	}
	for _, g := range d.topology.Groups() {
		var replayed map[string]texts
		if d.canReplay(g) {
			var err error
			if replayed, err = d.replay(ctx, g); err != nil {
				return v, fmt.Errorf("replay %s: %w", g.Inputs[0], err)
			}
		}
		for _, s := range g.Stores {
			if !s.Table {
				continue
			}
			compared, err := d.compareTable(ctx, s, replayed[s.Name])
			if err != nil {
				return v, err
			}
			v.comparisons = append(v.comparisons, compared...)
		}
	}
	return v, nil
}

// count counts what lies in the topics from outside, and what groups have to read.
func (d *demo) count(ctx context.Context, v *verdict) error {
	journals := map[string]int64{}
	for _, topic := range outside(d.topology) {
		if !d.fromOutside(topic) {
			continue
		}
		partitions, err := d.client.Partitions(topic)
		if err != nil {
			return err
		}
		for _, partition := range partitions {
			err := readPartition(ctx, d.client, topic, partition, func(topology.Raw) error {
				v.journal++
				journals[topic]++
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	for _, g := range d.topology.Groups() {
		for _, topic := range g.Inputs {
			switch {
			case !d.fromOutside(topic):
				v.due = -1 // transactions leave marks in topics that groups write to each other
			case v.due >= 0:
				v.due += journals[topic]
			}
		}
	}
	return nil
}

// compareTable compares a table, and its sinks, with rows; without them its
// sinks with the table.
func (d *demo) compareTable(ctx context.Context, s topology.StateStore, wanted texts) ([]comparison, error) {
	table, err := d.rows(ctx, s.Name)
	if err != nil {
		return nil, fmt.Errorf("table %q: %w", s.Name, err)
	}
	replayed := wanted != nil
	if !replayed {
		wanted = table
	}
	one := compared("table "+s.Name, wanted, table)
	one.notReplayed = !replayed
	all := []comparison{one}
	for _, sink := range s.Sinks {
		one, err := d.compareSink(ctx, s, sink, wanted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sink, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// rows returns a table, as the view shows it.
func (d *demo) rows(ctx context.Context, table string) (texts, error) {
	found := texts{}
	_, err := d.remote.Scan(ctx, table, web.Scan{}, func(line json.RawMessage) error {
		var r web.Row
		err := json.Unmarshal(line, &r)
		found[string(r.Key)] = string(r.Value)
		return err
	})
	return found, d.refused(err)
}

// text adds a row of a store, as text.
func (d *demo) text(to texts, store string, key, value []byte) error {
	k, v, err := d.topology.Format(topology.Raw{Key: key, Value: value, Position: topology.Position{Topic: store}})
	to[k] = string(v)
	return err
}

func (d *demo) compareSink(ctx context.Context, s topology.StateStore, sink topology.Sink, wanted texts) (comparison, error) {
	found, lookup := texts{}, d.program.Demo.Lookup
	for held, err := range sink.Keys(ctx, topology.Source{Table: s.Name, Format: s.Format}) {
		if err != nil {
			return comparison{}, err
		}
		if held.Key == nil {
			found[string(held.Name)] = "of no row"
			continue
		}
		key, _, err := d.topology.Format(topology.Raw{Key: held.Key, Position: topology.Position{Topic: s.Name}})
		if err != nil {
			return comparison{}, err
		}
		found[key] = ""
		if lookup != nil {
			if found[key], err = d.lookedUp(ctx, s, key, held.Key, wanted[key]); err != nil {
				return comparison{}, err
			}
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

// lookedUp returns what the target of a sink holds for a row: the wanted text, if
// that is how it is written there, else what is found.
func (d *demo) lookedUp(ctx context.Context, s topology.StateStore, key string, data []byte, wanted string) (string, error) {
	name := data
	if s.Format.Key != nil {
		var err error
		if name, err = s.Format.Key(nil, data); err != nil {
			return "", err
		}
	}
	found, err := d.program.Demo.Lookup(ctx, s.Name, name)
	if err != nil {
		return "", err
	}
	want, err := d.topology.Parse(s.Name, key, []byte(wanted))
	if err != nil || found == nil {
		return string(found), nil // nothing is wanted
	}
	written := want.Value
	if s.Format.Value != nil {
		if written, err = s.Format.Value(nil, want.Value); err != nil {
			return "", err
		}
	}
	if bytes.Equal(written, found) || sameJSON(written, found) {
		return wanted, nil
	}
	return string(found), nil
}

// sameJSON reports whether two texts are one JSON value but for white space.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
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
