//go:build unix

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-dev/tidemark/codec"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// A workload is a journal, a table of it and what is expected of both. The
// number of a row rises with each change of it, so that a step back shows.
type workload struct {
	name, about string
	store       string
	deletes     bool // some records are tombstones
	publishes   bool // every change is a record of an output topic
	counts      bool // a row is the number of its records, else the last of them
}

var workloads = []workload{
	{name: "hello", about: "journal, with tombstones → table → Redis", store: "hello-state-store", deletes: true},
	{name: "count", about: "journal → count of each key → output topic, Redis", store: "hello-counts", publishes: true, counts: true},
}

// A program is what a run has its workers do: workloads, and the two that are no
// rows of numbers.
type program struct {
	workloads []workload
	shop, odd bool
}

// chooseWorkloads returns the workloads of a list of names.
func chooseWorkloads(names string) (chosen program, err error) {
	for name := range strings.SplitSeq(names, ",") {
		switch name {
		case shopName:
			chosen.shop = true
			continue
		case oddName:
			chosen.odd = true
			continue
		}
		i := slices.IndexFunc(workloads, func(l workload) bool { return l.name == name })
		if i < 0 {
			return chosen, fmt.Errorf("-workload %q: there is no such workload: see -h", name)
		}
		chosen.workloads = append(chosen.workloads, workloads[i])
	}
	return chosen, nil
}

// Names of a run of a workload.
func (l workload) journal(run string) string   { return run + "-" + l.name + "-journal" }
func (l workload) output(run string) string    { return run + "-" + l.name + "-output" }
func (l workload) changelog(run string) string { return run + "-" + l.store + "-table" }
func (l workload) redisKey(key string) string  { return l.store + ":" + key }
func (l workload) key(i int) string            { return fmt.Sprintf("%s-%04d", l.name, i) }
func (l workload) redisKeys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, l.redisKey(l.key(i)))
	}
	return keys
}

// A hello is the state of the first workload.
type hello struct {
	State           string `json:"state"`
	HelloCount      int64  `json:"helloCount"`
	HelloTotalCount int64  `json:"helloTotalCount"`
}

// aborted is the number of records whose transaction is aborted: no reader may
// ever see one.
const aborted = int64(1) << 40

// value returns the journal's record with a number.
func value(number int64) []byte {
	return fmt.Appendf(nil, `{"state":"HAPPY","helloCount":%d,"helloTotalCount":%d}`, number, number*10)
}

// number returns the number of a row as it lies in Kafka.
func (l workload) number(row []byte) (int64, error) {
	if l.counts {
		if len(row) != 8 {
			return 0, fmt.Errorf("%q is not a count of 8 bytes", row)
		}
		return int64(binary.BigEndian.Uint64(row)), nil
	}
	var h hello
	if err := json.Unmarshal(row, &h); err != nil {
		return 0, fmt.Errorf("%q: %w", row, err)
	}
	if string(row) != string(value(h.HelloCount)) {
		return 0, fmt.Errorf("%q was never in the journal", row)
	}
	return h.HelloCount, nil
}

// numberOfText is number for a row as Redis has it, and a query over HTTP shows it.
func (l workload) numberOfText(row []byte) (int64, error) {
	if l.counts {
		return strconv.ParseInt(string(row), 10, 64)
	}
	return l.number(row)
}

// declare adds the workload to a topology.
func (l workload) declare(b *topology.Builder, run, redis string) {
	from := topology.Topic[string, hello]{Name: l.journal(run), Key: codec.String{}, Value: codec.JSON[hello]{}}
	sink := &redissink.Sink{Addr: redis}
	if !l.counts {
		topology.Sync(topology.Materialize(b, from, topology.Store[string, hello]{Name: l.store}), sink)
		return
	}
	counts := topology.Count(topology.Consume(b, from), topology.Store[string, int64]{Name: l.store})
	topology.Publish(counts, topology.Topic[string, int64]{Name: l.output(run)})
	topology.Sync(counts, sink)
}
