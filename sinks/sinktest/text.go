package sinktest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tidemark-dev/tidemark/topology"
)

// textChecks are about what rows are written as, and rows that cannot be.
var textChecks = []check{
	{text: true, sentence: "a table with a format is written as that says", run: func(tr *trial) {
		o := tr.reader(1)
		o.steps("1", row("a", "1"), row("b", "2"), row("", "3"))
		tr.finds("key-61", "<1>")
		tr.finds("key-62", "<2>")
		tr.finds("key-", "<3>")
		tr.misses("a")
		tr.listsOf(o.sink, o.Source, map[string]bool{"a": true, "b": true, "": true}, 0)
		o.steps("2", row("a", "4"), gone("b"))
		tr.finds("key-61", "<4>")
		tr.misses("key-62")
		later := tr.reader(1)
		later.at("2")
	}},

	{text: true, sentence: "a row that its format refuses is refused by name", run: func(tr *trial) {
		o := tr.reader(1)
		o.steps("1", row("a", "1"))
		o.refused("2", "?key", row("a", "2"), row("?key", "2"))
		o.refused("2", "?key", gone("?key"), row("a", "2"))
		o.refused("2", "b", row("a", "2"), row("b", "?value"))
		tr.finds("key-61", "<1>")
		o.steps("2", row("a", "2"))
	}},

	{text: true, sentence: "another format is another table: what the one before has left is stale", run: func(tr *trial) {
		tr.owner(1).steps("1", row("a", "1"), row("b", "2"))
		o := tr.reader(1)
		o.at("")
		tr.listsOf(o.sink, o.Source, nil, 2)
		o.steps("2", row("a", "3"))
		var stale [][]byte
		for held, err := range o.sink.Keys(tr.t.Context(), o.Source) {
			if err != nil {
				tr.failf("keys: %w", err)
			} else if held.Key == nil {
				stale = append(stale, held.Name)
			}
		}
		batch := topology.Batch{Source: o.Source, Epoch: o.place.Epoch, From: "2", To: "3", Stale: stale}
		if err := o.sink.Apply(tr.t.Context(), batch); err != nil {
			tr.failf("a step of stale names: %w", err)
		}
		tr.misses("a")
		tr.misses("b")
		tr.finds("key-61", "<3>")
		tr.listsOf(o.sink, o.Source, map[string]bool{"a": true}, 0)
	}},

	{keyed: true, sentence: "two rows that come to one name are refused by name", run: func(tr *trial) {
		lower := func(key []byte) (string, error) { return strings.ToLower(string(key)), nil }
		open := func(partition int32) *owner {
			o := tr.newcomer(tr.table, partition, tr.closed(tr.target.Keyed(tr.t, lower)))
			o.opens(0, nil)
			return o
		}
		zero, one := open(0), open(1)
		zero.refused("1", "Key", row("key", "1"), row("Key", "2"))
		zero.steps("1", row("KEY", "1"), row("other", "1"))
		zero.refused("2", "Key", row("other", "2"), row("Key", "2"))
		one.refused("2", "kEY", row("kEY", "2"))
		tr.finds("key", "1")
		tr.finds("other", "1")
		zero.steps("2", row("KEY", "2"))
		one.steps("2", gone("kEY"), gone("never there")) // it is the other one's
		tr.finds("key", "2")
		tr.listsOf(zero.sink, zero.Source, map[string]bool{"KEY": true, "other": true}, 0)
		zero.steps("3", gone("KEY"), row("Key", "3")) // it makes room
		tr.finds("key", "3")
		zero.steps("4", gone("Key"))
		tr.misses("key")
		one.steps("3", row("kEY", "4"))
		tr.finds("key", "4")
		tr.listsOf(zero.sink, zero.Source, map[string]bool{"kEY": true, "other": true}, 0)
	}},

	{limit: true, sentence: "a row that is too large is refused by name", run: func(tr *trial) {
		large := strings.Repeat("x", tr.target.Limit+1)
		o := tr.owner(0)
		o.steps("1", row("a", "1"))
		o.refused("2", "large", row("large", large))
		err := o.apply(tr.t.Context(), "1", "2", row("a", "2"), row("large", large), row("b", "2"))
		if of := (*topology.RowError)(nil); !errors.Is(err, topology.ErrTooLarge) && !errors.As(err, &of) {
			tr.failf("a step with a row that is too large: %s", said(err))
		}
		tr.finds("a", "1")
		tr.misses("large")
		tr.misses("b")
		o.steps("2", row("a", "2"), row("full", large[:tr.target.Limit]))
		tr.finds("full", large[:tr.target.Limit])
		o.steps("3", gone("full"))
	}},
}

// reader is an owner of a table that has a format.
func (tr *trial) reader(partition int32) *owner {
	o := tr.newcomer(tr.table, partition, tr.sink())
	o.Format = shown
	o.opens(0, nil)
	return o
}

// shown writes a key as "key-" and hexadecimal digits, and a value in angle
// brackets. It refuses what begins with a question mark.
var shown = &topology.Format{
	Key: func(to, key []byte) ([]byte, error) {
		if strings.HasPrefix(string(key), "?") {
			return nil, errors.New("no text")
		}
		return hex.AppendEncode(append(to, "key-"...), key), nil
	},
	ParseKey: func(text []byte) ([]byte, error) {
		digits, ok := strings.CutPrefix(string(text), "key-")
		if !ok {
			return nil, fmt.Errorf("%q is no key", text)
		}
		return hex.AppendDecode([]byte{}, []byte(digits))
	},
	Value: func(to, value []byte) ([]byte, error) {
		if strings.HasPrefix(string(value), "?") {
			return nil, errors.New("no text")
		}
		return append(append(append(to, '<'), value...), '>'), nil
	},
}
