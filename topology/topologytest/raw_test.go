package topologytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Rows of all partitions are sorted, and what was received is not received again.
func TestRaw(t *testing.T) {
	d := topologytest.New(t, build(t), 3)
	for i, key := range []string{"c", "a", "b", "a"} {
		d.At(time.UnixMilli(int64(i)))
		topologytest.Send(d, journal, key, hello{State: "HAPPY", Count: int64(i)})
	}
	var rows, received []string
	for _, r := range d.RowsRaw(counts.Name) {
		rows = append(rows, fmt.Sprintf("%s %s %x@%d", r.Store, r.Key, r.Value, r.Time))
	}
	want := []string{
		"hello-count-store a 0000000000000002@3", "hello-count-store b 0000000000000001@2", "hello-count-store c 0000000000000001@0",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for _, r := range d.ReceivedRaw(changes.Name) {
		received = append(received, fmt.Sprintf("%s %s@%d", r.Key, r.Value, r.Time.UnixMilli()))
	}
	want = []string{
		`c {"state":"HAPPY","helloCount":0,"helloTotalCount":0}@0`, `a {"state":"HAPPY","helloCount":1,"helloTotalCount":0}@1`,
		`b {"state":"HAPPY","helloCount":2,"helloTotalCount":0}@2`, `a {"state":"HAPPY","helloCount":3,"helloTotalCount":0}@3`,
	}
	if diff := cmp.Diff(want, received); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if again := d.ReceivedRaw(changes.Name); len(again) > 0 {
		t.Errorf("received again: %v", again)
	}
	if none := d.RowsRaw("none"); len(none) > 0 {
		t.Errorf("rows of no store: %v", none)
	}
}
