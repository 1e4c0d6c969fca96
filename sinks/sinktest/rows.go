package sinktest

import (
	"fmt"
	"strings"

	"github.com/tidemark-dev/tidemark/topology"
)

// rowChecks are about what a reader finds.
var rowChecks = []check{
	{sentence: "a nil value deletes the row", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"), row("b", "b1"))
		o.steps("2", gone("a"), gone("never there"), row("c", "c2"))
		tr.misses("a")
		tr.finds("b", "b1")
		tr.finds("c", "c2")
		o.steps("3", gone("b"), gone("c"))
		tr.misses("b")
		tr.misses("c")
		tr.lists(tr.table, nil)
	}},

	{sentence: "a row that was deleted can come back", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"))
		o.steps("2", gone("a"))
		o.steps("3", row("a", "a3"))
		tr.finds("a", "a3")
		o.tries("1", "2", topology.ErrGap, gone("a"))
		tr.finds("a", "a3")
	}},

	{sentence: "an empty value is a row", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", ""), row("b", "b1"))
		o.steps("2", row("b", ""))
		tr.finds("a", "")
		tr.finds("b", "")
		tr.lists(tr.table, map[string]bool{"a": true, "b": true})
	}},

	{sentence: "keys and values are bytes", run: func(tr *trial) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		keys := []string{
			"", " ", ":", "a:b", "a::b", `a\b`, `a\:b`, "a*", "a?", "[a]", "{a}", "a/b", "%s", "'", `"`, "\x00", "\xff\xfe",
			"a\nb", "a\r\nb", "ä", "null", "0", strings.Repeat("k", 1000), string(all),
		}
		o := tr.owner(0)
		var rows []topology.Raw
		listed := map[string]bool{}
		for _, key := range keys {
			rows = append(rows, row(key, "value of "+key))
			listed[key] = true
		}
		o.steps("1", rows...)
		for _, key := range keys {
			tr.finds(key, "value of "+key)
		}
		tr.lists(tr.table, listed)

		o.steps("2", row("all", string(all)), row("large", strings.Repeat(string(all), 4000)))
		tr.finds("all", string(all))
		tr.finds("large", strings.Repeat(string(all), 4000))

		rows = rows[:0]
		for _, key := range keys {
			rows = append(rows, gone(key))
		}
		o.steps("3", rows...)
		tr.lists(tr.table, map[string]bool{"all": true, "large": true})
	}},

	{sentence: "keys are those of the rows of all partitions of one table", run: func(tr *trial) {
		tr.lists(tr.table, nil)
		listed := map[string]bool{}
		for partition := range int32(3) {
			o := tr.owner(partition)
			var rows []topology.Raw
			for i := range 1500 {
				key := fmt.Sprintf("%d-%d", partition, i)
				rows = append(rows, row(key, "x"))
				listed[key] = true
			}
			o.steps("1", rows...)
			o.steps("2", gone(fmt.Sprintf("%d-7", partition)))
			delete(listed, fmt.Sprintf("%d-7", partition))
		}
		for _, like := range []string{tr.table[:len(tr.table)-1], tr.table + "-2", tr.table + "*"} {
			tr.ownerOf(like, 0).steps("1", row("of another table", "x"))
		}
		tr.lists(tr.table, listed)
		for _, err := range tr.sink().Keys(tr.t.Context(), topology.Source{Table: tr.table, Owner: us}) {
			if err != nil {
				tr.t.Error(err)
			}
			break // an end in the middle is the caller's right
		}
	}},

	{sentence: "the sink keeps nothing of a batch", run: func(tr *trial) {
		o := tr.owner(0)
		rows := []topology.Raw{row("key", "value"), row("other", "value")}
		o.steps("1", rows...)
		copy(rows[0].Key, "xxx")
		copy(rows[0].Value, "xxxxx")
		rows[1] = row("x", "x")
		tr.finds("key", "value")
		tr.finds("other", "value")
		tr.misses("xxx")
		tr.lists(tr.table, map[string]bool{"key": true, "other": true})
	}},

	{sentence: "1,000 rows are one step", run: func(tr *trial) { large(tr, 1000) }},

	{sentence: "10,000 rows are one step", run: func(tr *trial) { large(tr, 10000) }},
}

// large sets n rows, then deletes every third and changes the rest, each in one step.
func large(tr *trial, n int) {
	o := tr.owner(0)
	key := func(i int) string { return fmt.Sprintf("key-%d", i) }
	var first, second []topology.Raw
	listed := map[string]bool{}
	for i := range n {
		first = append(first, row(key(i), fmt.Sprintf("first %d", i)))
		if i%3 == 0 {
			second = append(second, gone(key(i)))
		} else {
			second = append(second, row(key(i), fmt.Sprintf("second %d", i)))
			listed[key(i)] = true
		}
	}
	o.steps("1", first...)
	for i := 0; i < n; i += n / 100 {
		tr.finds(key(i), fmt.Sprintf("first %d", i))
	}
	o.steps("2", second...)
	o.tries("", "1", topology.ErrGap, first...)
	for i := 0; i < n; i += n / 100 {
		if i%3 == 0 {
			tr.misses(key(i))
		} else {
			tr.finds(key(i), fmt.Sprintf("second %d", i))
		}
	}
	tr.lists(tr.table, listed)
}
