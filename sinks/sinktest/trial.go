package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A trial is one run of a check. It remembers the first thing that went wrong,
// and nothing is asked or expected after that, so that a check reads as a list
// of what happens. It is safe for concurrent use.
type trial struct {
	t      *testing.T
	target Target
	table  string

	mu      sync.Mutex
	err     error
	closers []io.Closer
}

func (tr *trial) failf(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.err == nil {
		tr.err = fmt.Errorf(format, args...)
	}
}

func (tr *trial) failed() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.err
}

// sink returns a handle of its own.
func (tr *trial) sink() topology.Sink { return tr.closed(tr.target.New(tr.t)) }

// closed has a handle closed when the trial is over.
func (tr *trial) closed(s topology.Sink) topology.Sink {
	if closer, ok := s.(io.Closer); ok {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.closers = append(tr.closers, closer)
	}
	return s
}

// loses makes the target forget everything, after a moment: each Open can put
// the epoch a millisecond ahead of the target's clock.
func (tr *trial) loses() {
	if tr.failed() == nil {
		time.Sleep(20 * time.Millisecond)
		tr.target.Lose(tr.t)
	}
}

// finds expects that a reader finds a value.
func (tr *trial) finds(key, value string) { tr.findsIn(tr.table, key, value) }

func (tr *trial) findsIn(table, key, value string) {
	if tr.failed() != nil {
		return
	}
	switch got := tr.target.Get(tr.t, table, []byte(key)); {
	case got == nil:
		tr.failf("row %.40q is missing, want %.40q", key, value)
	case !bytes.Equal(got, []byte(value)):
		tr.failf("row %.40q is %.40q, want %.40q", key, got, value)
	}
}

// misses expects that a reader finds nothing.
func (tr *trial) misses(key string) {
	if tr.failed() != nil {
		return
	}
	if got := tr.target.Get(tr.t, tr.table, []byte(key)); got != nil {
		tr.failf("row %.40q is %.40q, want none", key, got)
	}
}

// lists expects that Keys yields exactly these keys.
func (tr *trial) lists(table string, want map[string]bool) {
	if tr.failed() != nil {
		return
	}
	tr.listsOf(tr.sink(), topology.Source{Table: table, Owner: us}, want, 0)
}

// listsOf expects that Keys yields exactly these keys, and so many names that are no
// row's.
func (tr *trial) listsOf(s topology.Sink, of topology.Source, want map[string]bool, stale int) {
	if tr.failed() != nil {
		return
	}
	got, left := map[string]bool{}, map[string]bool{}
	for held, err := range s.Keys(tr.t.Context(), of) {
		switch {
		case err != nil:
			tr.failf("keys: %w", err)
			return
		case held.Key == nil:
			left[string(held.Name)] = true
			continue
		}
		got[string(held.Key)] = true
		if !want[string(held.Key)] {
			tr.failf("keys yield %.60q, which is no row of the table", held.Key)
		}
	}
	if len(left) != stale {
		tr.failf("keys yield %d names of no row, want %d", len(left), stale)
	}
	for key := range want {
		if !got[key] {
			tr.failf("keys do not yield %.60q", key)
		}
	}
}

// us is whose the tables are.
var us = topology.Owner{Application: "sinktest", Cluster: "cluster-1"}

// An owner is one process that writes a partition through a handle of its own.
type owner struct {
	*trial
	topology.Source
	sink  topology.Sink
	place topology.Place // as Open returned it, then moved by the steps
}

// owner opens a partition of the trial's table as a new owner.
func (tr *trial) owner(partition int32) *owner { return tr.ownerOf(tr.table, partition) }

func (tr *trial) ownerOf(table string, partition int32) *owner {
	o := tr.newcomer(table, partition, tr.sink())
	o.opens(0, nil)
	return o
}

// newcomer is an owner that has not opened its partition.
func (tr *trial) newcomer(table string, partition int32, sink topology.Sink) *owner {
	return &owner{trial: tr, Source: topology.Source{Table: table, Partition: partition, Owner: us}, sink: sink}
}

// opens expects an answer to Open.
func (o *owner) opens(epoch int64, want error) {
	if o.failed() != nil {
		return
	}
	place, err := o.sink.Open(o.t.Context(), o.Source, epoch)
	switch {
	case !answers(err, want):
		o.failf("open %s with epoch %d: %s, want %s", o.Source, epoch, said(err), said(want))
	case err != nil:
	case epoch != 0 && place.Epoch != epoch:
		o.failf("open %s with epoch %d: returned epoch %d", o.Source, epoch, place.Epoch)
	case place.Epoch <= 0:
		o.failf("open %s: epoch %d is not above 0", o.Source, place.Epoch)
	default:
		o.place = place
	}
}

// at expects the position that Open has returned or a step has moved to.
func (o *owner) at(position string) {
	if o.place.Position != position {
		o.failf("%s is at position %q, want %q", o.Source, o.place.Position, position)
	}
}

// steps goes on to a position, and expects that the step is applied.
func (o *owner) steps(to string, rows ...topology.Raw) {
	o.tries(o.place.Position, to, nil, rows...)
	o.place.Position = to
}

// tries expects an answer to a step.
func (o *owner) tries(from, to string, want error, rows ...topology.Raw) {
	if o.failed() != nil {
		return
	}
	if err := o.apply(o.t.Context(), from, to, rows...); !answers(err, want) {
		o.failf("apply to %s from %q to %q: %s, want %s", o.Source, from, to, said(err), said(want))
	}
}

// refused expects that a step is refused because of a row, and changes nothing.
func (o *owner) refused(to, key string, rows ...topology.Raw) {
	if o.failed() != nil {
		return
	}
	var row *topology.RowError
	if err := o.apply(o.t.Context(), o.place.Position, to, rows...); !errors.As(err, &row) {
		o.failf("apply to %s to %q: %s, want a RowError of row %.40q", o.Source, to, said(err), key)
	} else if string(row.Key) != key {
		o.failf("apply to %s to %q: %s, want one of row %.40q", o.Source, to, said(err), key)
	}
	o.tries(o.place.Position, o.place.Position, nil)
}

func (o *owner) apply(ctx context.Context, from, to string, rows ...topology.Raw) error {
	return o.sink.Apply(ctx, topology.Batch{Source: o.Source, Epoch: o.place.Epoch, From: from, To: to, Rows: rows})
}

func row(key, value string) topology.Raw {
	return topology.Raw{Key: []byte(key), Value: append([]byte{}, value...)}
}

func gone(key string) topology.Raw { return topology.Raw{Key: []byte(key)} }

func answers(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

func said(err error) string {
	if err == nil {
		return "no error"
	}
	return fmt.Sprintf("error %q", err)
}
