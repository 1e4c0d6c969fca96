//go:build unix

package main

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// A journal is a topic of records that follow from their numbers, so that its
// outcome is known without reading it.
type journal struct {
	records, keys int
	partitions    int32
}

// The work that is measured.
const (
	hello   = "hello"   // journal → table → Redis
	count   = "count"   // journal → count of each key → Redis
	publish = "publish" // count, and every count is a record of an output topic

	windowed    = "windowed"    // journal → count of each key in each minute → Redis
	joined      = "joined"      // journal, each record joined with a row of another table → table → Redis
	repartition = "repartition" // journal → other keys → repartition topic → count → Redis
)

// noon is the time of the first record; the others follow a millisecond apart.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	minute    = time.Minute
	perMinute = int(time.Minute / time.Millisecond) // records
)

const store = "hello-state-store"

func (j journal) topic() string {
	return fmt.Sprintf("tidemark-bench-timed-%d-%d-%d", j.records, j.keys, j.partitions)
}

// keyOf returns the number of the i-th record's key: evenly distributed, in no order.
func (j journal) keyOf(i int) int {
	z := uint64(i+1) * 0x9e3779b97f4a7c15 // splitmix64
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(j.keys))
}

func keyName(key int) string { return fmt.Sprintf("testid-%07d", key) }

// otherName is the key that a record is repartitioned by.
func otherName(key string) string { return "other-" + key }

// sideTopic holds one record for each key, older than those of the journal.
func (j journal) sideTopic() string { return j.topic() + "-side" }

func (j journal) side() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for key := range j.keys {
			if !yield(keyName(key), value(key)) {
				return
			}
		}
	}
}

// value returns the i-th record's value, 90 bytes of JSON.
func value(i int) []byte {
	const size = 90
	v := make([]byte, 0, size)
	v = append(v, `{"state":"HAPPY","helloCount":`...)
	v = strconv.AppendInt(v, int64(i), 10)
	v = append(v, `,"helloTotalCount":`...)
	v = strconv.AppendInt(v, int64(i)*10, 10)
	v = append(v, `,"note":"`...)
	for len(v) < size-2 {
		v = append(v, 'x')
	}
	return append(v, `"}`...)
}

// state is what value returns, decoded.
type state struct {
	State           string `json:"state"`
	HelloCount      int64  `json:"helloCount"`
	HelloTotalCount int64  `json:"helloTotalCount"`
	Note            string `json:"note"`
}

func (j journal) all() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := range j.records {
			if !yield(keyName(j.keyOf(i)), value(i)) {
				return
			}
		}
	}
}

// prepare fills the topics that a work reads, unless an earlier run has done so.
func (j journal) prepare(c *referee.Cluster, work string) error {
	err := j.fill(c, j.topic(), j.records, noon, j.all())
	if work == joined && err == nil {
		err = j.fill(c, j.sideTopic(), j.keys, noon.Add(-time.Hour), j.side())
	}
	return err
}

func (j journal) fill(c *referee.Cluster, topic string, records int, from time.Time, all iter.Seq2[string, []byte]) error {
	there, err := c.Exists(topic)
	if err != nil {
		return err
	}
	if there {
		ends, err := c.Ends(topic)
		if err != nil {
			return err
		}
		var sum int64
		for _, e := range ends {
			sum += e
		}
		if sum == int64(records) {
			return nil
		}
		return fmt.Errorf("topic %s has %d records, not %d: was a run interrupted? -drop removes it", topic, sum, records)
	}
	if err := c.Create(topic, j.partitions); err != nil {
		return err
	}
	return c.Fill(topic, from, all)
}

// An outcome is what Redis holds of each row when everything is done. A row is
// that of a key, or of a key in a minute.
type outcome struct {
	journal
	work        string
	last, times []int32 // by row: the number of its last record, how many it has
	tail        []int   // the rows of the last records: final only when all the rest is
}

func (j journal) outcome(work string) outcome {
	o := outcome{journal: j, work: work}
	rows := j.keys
	if work == windowed {
		rows *= (j.records-1)/perMinute + 1
	}
	o.last, o.times = make([]int32, rows), make([]int32, rows)
	for i := range j.records {
		row := j.keyOf(i)
		if work == windowed {
			row += i / perMinute * j.keys
		}
		o.last[row] = int32(i)
		o.times[row]++
		if i >= j.records-40 {
			o.tail = append(o.tail, row)
		}
	}
	return o
}

// redisKey returns the key of a row.
func (o outcome) redisKey(row int) string {
	name := keyName(row % o.keys)
	switch o.work {
	case repartition:
		name = otherName(name)
	case windowed:
		start := noon.Add(time.Duration(row/o.keys) * minute)
		name += ":" + start.Format(time.RFC3339)
	}
	return store + ":" + name
}

// want returns what Redis must hold of a row, nil for nothing.
func (o outcome) want(row int) []byte {
	switch {
	case o.times[row] == 0:
		return nil
	case o.work == hello, o.work == joined:
		return value(int(o.last[row]))
	}
	return strconv.AppendInt(nil, int64(o.times[row]), 10)
}
