package topology_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// An event is a record that a truth test sends: of a missing value, if it is
// "null", and of a missing key, if that is.
type event struct {
	topic, key, value string
	at                int64
}

func (e event) raw() topology.Raw {
	r := topology.Raw{Time: time.UnixMilli(e.at), Position: topology.Position{Topic: e.topic}}
	if e.key != "null" {
		r.Key = []byte(e.key)
	}
	if e.value != "null" {
		r.Value = []byte(e.value)
	}
	return r
}

// told writes what was published to a topic since the last call: key=value@time.
func told[K, V any](d *topologytest.Driver, from topology.Topic[K, V]) (lines []string) {
	for _, r := range topologytest.Received(d, from) {
		line := fmt.Sprintf("%v deleted@%d", r.Key, r.Time.UnixMilli())
		if r.Value != nil {
			line = fmt.Sprintf("%v=%v@%d", r.Key, *r.Value, r.Time.UnixMilli())
		}
		lines = append(lines, line)
	}
	return lines
}

// A truth is what records must cause, one after the other.
type truth struct {
	event
	want string // told by the topic out, and "" for nothing
}

var out = topology.Topic[string, string]{Name: "out", Key: codec.String{}, Value: codec.String{}}

// holds sends the records and compares what each causes.
func holds(t *testing.T, d *topologytest.Driver, truths []truth) {
	t.Helper()
	for i, tr := range truths {
		d.SendRaw(tr.raw())
		got := ""
		for _, line := range told(d, out) {
			got += " " + line
		}
		if want := tr.want; got != "" && got[1:] != want || got == "" && want != "" {
			t.Errorf("record %d, %+v: told%s, want %s", i, tr.event, got, want)
		}
	}
}
