//go:build unix

package main

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strconv"

	"github.com/tidemark-dev/tidemark/internal/referee"
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
)

const store = "hello-state-store"

func (j journal) topic() string {
	return fmt.Sprintf("tidemark-bench-journal-%d-%d-%d", j.records, j.keys, j.partitions)
}

// keyOf returns the number of the i-th record's key: evenly distributed, in no order.
func (j journal) keyOf(i int) int {
	z := uint64(i+1) * 0x9e3779b97f4a7c15 // splitmix64
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(j.keys))
}

func keyName(key int) string { return fmt.Sprintf("testid-%07d", key) }

func redisKey(key int) string { return store + ":" + keyName(key) }

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

// prepare fills the topic, unless an earlier run has done so.
func (j journal) prepare(c *referee.Cluster) error {
	there, err := c.Exists(j.topic())
	if err != nil {
		return err
	}
	if there {
		ends, err := c.Ends(j.topic())
		if err != nil {
			return err
		}
		var sum int64
		for _, e := range ends {
			sum += e
		}
		if sum == int64(j.records) {
			return nil
		}
		return fmt.Errorf("topic %s has %d records, not %d: was a run interrupted? -drop removes it", j.topic(), sum, j.records)
	}
	if err := c.Create(j.topic(), j.partitions); err != nil {
		return err
	}
	return c.Fill(j.topic(), j.all())
}

// An outcome is what Redis holds of each key when everything is done.
type outcome struct {
	work        string
	last, times []int32 // by key: the number of its last record, how many it has
	tail        []int   // the keys of the last records: final only when all the rest is
}

func (j journal) outcome(work string) outcome {
	o := outcome{work: work, last: make([]int32, j.keys), times: make([]int32, j.keys)}
	for i := range j.records {
		key := j.keyOf(i)
		o.last[key] = int32(i)
		o.times[key]++
		if i >= j.records-40 {
			o.tail = append(o.tail, key)
		}
	}
	return o
}

// want returns what Redis must hold of a key, nil for nothing.
func (o outcome) want(key int) []byte {
	switch {
	case o.times[key] == 0:
		return nil
	case o.work == hello:
		return value(int(o.last[key]))
	}
	return binary.BigEndian.AppendUint64(nil, uint64(o.times[key]))
}
