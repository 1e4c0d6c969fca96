package sinktest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A faulty sink has the contract's methods, some of them wrong.
type faulty struct {
	*memory
	open  func(context.Context, topology.Source, int64) (topology.Place, error)
	apply func(context.Context, topology.Batch) error
	keys  func(of topology.Source) iter.Seq2[topology.Held, error]
	name  string
}

func (f *faulty) String() string { return f.name }

func (f *faulty) Open(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
	if f.open == nil {
		return f.memory.Open(ctx, from, epoch)
	}
	return f.open(ctx, from, epoch)
}

func (f *faulty) Apply(ctx context.Context, batch topology.Batch) error {
	if f.apply == nil {
		return f.memory.Apply(ctx, batch)
	}
	return f.apply(ctx, batch)
}

func (f *faulty) Keys(ctx context.Context, of topology.Source) iter.Seq2[topology.Held, error] {
	if f.keys == nil {
		return f.memory.Keys(ctx, of)
	}
	return f.keys(of)
}

func (m *memory) place(of topology.Source) topology.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.places[of.String()]
}

// owner returns whose a table is, or else who asks.
func (m *memory) owner(of topology.Source) topology.Owner {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.owners[of.Table], of.Owner)
}

// faults make a correct sink wrong, each in one way, and name a check that
// must notice.
var faults = []struct {
	fault  string
	caught string
	breaks func(*faulty)
}{
	{"no name", "a sink has a name", func(f *faulty) { f.name = "" }},
	{"a new partition is at position 0", "a partition that nobody has opened is at no position", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			place, err := f.memory.Open(ctx, from, epoch)
			place.Position = cmp.Or(place.Position, "0")
			return place, err
		}
	}},
	{"any owner may write", "a later owner fences the one before", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Epoch = cmp.Or(f.place(b.Source).Epoch, b.Epoch)
			return f.memory.Apply(ctx, b)
		}
	}},
	{"an old owner may open again", "a later owner fences the one before", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			place, err := f.memory.Open(ctx, from, epoch)
			if errors.Is(err, topology.ErrFenced) {
				return f.memory.Open(ctx, from, f.place(from).Epoch)
			}
			return place, err
		}
	}},
	{"the epoch of an old owner replaces the later one", "a later owner fences the one before", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			f.mu.Lock()
			place := f.places[from.String()]
			place.Epoch = min(place.Epoch, cmp.Or(epoch, place.Epoch))
			f.places[from.String()] = place
			f.mu.Unlock()
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"an owner cannot open again", "an owner that opens again keeps its epoch and its position", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			if epoch != 0 && epoch == f.place(from).Epoch {
				return topology.Place{}, topology.ErrFenced
			}
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"to open again takes a new epoch", "an owner that opens again keeps its epoch and its position", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, _ int64) (topology.Place, error) {
			return f.memory.Open(ctx, from, 0)
		}
	}},
	{"to open again stores nothing", "after a loss the owner goes on with its epoch, from no position", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			if place := f.place(from); epoch > place.Epoch {
				return topology.Place{Epoch: epoch, Position: place.Position}, nil
			}
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"a new owner begins at no position", "a later owner goes on where the one before stood", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			f.mu.Lock()
			f.places[from.String()] = topology.Place{Epoch: f.places[from.String()].Epoch}
			f.mu.Unlock()
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"epochs are counted", "after a loss a new epoch is later than those that were forgotten", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			return f.memory.Open(ctx, from, cmp.Or(epoch, f.place(from).Epoch+1))
		}
	}},
	{"epochs are the time", "every new epoch is later than all before it", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			return f.memory.Open(ctx, from, cmp.Or(epoch, time.Now().UnixMilli()))
		}
	}},
	{"an epoch is read and then stored", "owners that open at once have epochs of their own, and the last one writes", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			if epoch == 0 {
				epoch = max(f.place(from).Epoch+1, time.Now().UnixMilli())
				time.Sleep(time.Millisecond)
			}
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"one fence for all partitions", "partitions have epochs and positions of their own", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			from.Partition = 0
			return f.memory.Open(ctx, from, epoch)
		}
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Partition = 0
			return f.memory.Apply(ctx, b)
		}
	}},
	{"one fence for all tables", "tables have epochs, positions and rows of their own", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			from.Table = from.Table[:len("sinktest-")]
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"any step is taken", "an old step that comes late is a gap and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.From = f.place(b.Source).Position
			return f.memory.Apply(ctx, b)
		}
	}},
	{"any later step is taken", "a step that begins elsewhere is a gap and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if at := f.place(b.Source).Position; b.To > at {
				b.From = at
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"positions are numbers", "a position is a name and not a number", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if at := f.place(b.Source).Position; at != "" && strings.Trim(at, "+0 .") == strings.Trim(b.From, "+0 .") {
				b.From = at
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a duplicate is a gap", "a step that was taken is a duplicate and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if errors.Is(err, topology.ErrDuplicate) {
				return topology.ErrGap
			}
			return err
		}
	}},
	{"a duplicate is taken for new", "a step that was taken is a duplicate and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if errors.Is(err, topology.ErrDuplicate) {
				return nil
			}
			return err
		}
	}},
	{"a duplicate is written", "a step that was taken is a duplicate and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if errors.Is(err, topology.ErrDuplicate) {
				f.mu.Lock()
				_ = f.write(b)
				f.mu.Unlock()
			}
			return err
		}
	}},
	{"a fenced owner hears of a duplicate", "a later owner fences the one before", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if f.place(b.Source).Position == b.To && b.From != b.To {
				return topology.ErrDuplicate
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a fenced owner hears of a gap", "a later owner fences the one before", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if errors.Is(err, topology.ErrFenced) {
				return topology.ErrGap
			}
			return err
		}
	}},
	{"an owner of a lost target is fenced", "a target that lost everything answers with a gap and takes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if f.place(b.Source).Epoch != b.Epoch {
				return topology.ErrFenced
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a lost target is taken for new", "a target that lost everything answers with a gap and takes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if f.place(b.Source).Epoch == 0 {
				if _, err := f.memory.Open(ctx, b.Source, b.Epoch); err != nil {
					return err
				}
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"an empty step asks nobody", "a step to where it begins asks whether the target stands there", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if len(b.Rows) == 0 && b.From == b.To {
				return nil
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a step without rows does not move the position", "a step without rows moves the position", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if len(b.Rows) == 0 {
				b.To = b.From
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"an empty value deletes", "an empty value is a row", func(f *faulty) {
		f.apply = changed(f, func(r *topology.Raw) {
			if len(r.Value) == 0 {
				r.Value = nil
			}
		})
	}},
	{"a deleted row becomes an empty one", "a nil value deletes the row", func(f *faulty) {
		f.apply = changed(f, func(r *topology.Raw) {
			if r.Value == nil {
				r.Value = []byte{}
			}
		})
	}},
	{"keys end at a colon", "keys and values are bytes", func(f *faulty) {
		f.apply = changed(f, func(r *topology.Raw) {
			key, _, _ := strings.Cut(string(r.Key), ":")
			r.Key = []byte(key)
		})
	}},
	{"rows are written one by one", "a reader never sees half a step", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			for i := range b.Rows {
				part := b
				part.To, part.Rows = b.From, b.Rows[i:i+1]
				if err := f.memory.Apply(ctx, part); err != nil {
					break // the last one answers
				}
				if len(b.Rows) < 10 {
					time.Sleep(time.Microsecond)
				}
			}
			b.Rows = nil
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a call that is cut off leaves half a step", "a step that was cut off is there as a whole or not at all", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if half := len(b.Rows) / 2; half > 0 && ctx.Err() != nil {
				b.To, b.Rows = b.From, b.Rows[:half]
				_ = f.memory.Apply(context.WithoutCancel(ctx), b)
				return ctx.Err()
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a call that is cut off reports success", "a call that was cut off has happened or not, and can be made again", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if ctx.Err() != nil {
				return nil
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"the position is written before the rows", "a step that was cut off is there as a whole or not at all", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if ctx.Err() != nil {
				b.Rows = nil
				_ = f.memory.Apply(context.WithoutCancel(ctx), b)
				return ctx.Err()
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"1,000 rows are the most", "10,000 rows are one step", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Rows = b.Rows[:min(len(b.Rows), 1000)]
			return f.memory.Apply(ctx, b)
		}
	}},
	{"the batch is kept", "the sink keeps nothing of a batch", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, r := range b.Rows {
				if err == nil && r.Value != nil {
					f.rows[b.Table][string(r.Key)] = named{string(r.Key), r.Value}
				}
			}
			return err
		}
	}},
	{"keys are those of the tables that begin alike", "keys are those of the rows of all partitions of one table", func(f *faulty) {
		f.keys = func(of topology.Source) iter.Seq2[topology.Held, error] {
			f.mu.Lock()
			defer f.mu.Unlock()
			var all []topology.Held
			for name := range f.rows {
				if strings.HasPrefix(name, of.Table) {
					like := of
					like.Table = name
					all = append(all, f.held(like)...)
				}
			}
			return listed(all)
		}
	}},
	{"keys end after a thousand", "keys are those of the rows of all partitions of one table", func(f *faulty) {
		f.keys = func(of topology.Source) iter.Seq2[topology.Held, error] {
			f.mu.Lock()
			defer f.mu.Unlock()
			all := f.held(of)
			return listed(all[:min(len(all), 1000)])
		}
	}},
	{"anybody may open", "another application is refused by name, and changes nothing", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			from.Owner = f.owner(from)
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"anybody may write", "another application is refused by name, and changes nothing", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Owner = f.owner(b.Source)
			return f.memory.Apply(ctx, b)
		}
	}},
	{"the cluster is not looked at", "another Kafka cluster is refused by name, and changes nothing", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			from.Owner.Cluster = us.Cluster
			return f.memory.Open(ctx, from, epoch)
		}
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Owner.Cluster = us.Cluster
			return f.memory.Apply(ctx, b)
		}
	}},
	{"who is refused has taken the partition", "another application is refused by name, and changes nothing", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			place, err := f.memory.Open(ctx, from, epoch)
			if errors.Is(err, topology.ErrForeign) {
				from.Owner = f.owner(from)
				_, _ = f.memory.Open(ctx, from, 0)
			}
			return place, err
		}
	}},
	{"who is refused is not told whose it is", "another application is refused by name, and changes nothing", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			place, err := f.memory.Open(ctx, from, epoch)
			if errors.Is(err, topology.ErrForeign) {
				err = topology.ErrForeign
			}
			return place, err
		}
	}},
	{"each partition has an owner of its own", "a table is one owner's, also where he has not opened it yet", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			if f.place(from).Epoch == 0 {
				from.Owner = f.owner(from)
			}
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"a fenced step hears nothing of another owner", "after a loss a table is whose comes first", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if errors.Is(err, topology.ErrForeign) && f.place(b.Source).Epoch != b.Epoch {
				return topology.ErrGap
			}
			return err
		}
	}},
	{"formats are not looked at", "a table with a format is written as that says", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			from.Format = nil
			return f.memory.Open(ctx, from, epoch)
		}
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Format = nil
			return f.memory.Apply(ctx, b)
		}
	}},
	{"keys have a format and values none", "a table with a format is written as that says", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if b.Format != nil {
				b.Format = &topology.Format{Key: b.Format.Key, ParseKey: b.Format.ParseKey}
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a row without a text is left out", "a row that its format refuses is refused by name", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Rows = slices.DeleteFunc(slices.Clone(b.Rows), func(r topology.Raw) bool {
				return b.Format != nil && (bytes.HasPrefix(r.Key, []byte("?")) || bytes.HasPrefix(r.Value, []byte("?")))
			})
			return f.memory.Apply(ctx, b)
		}
	}},
	{"the position outlives the format", "another format is another table: what the one before has left is stale", func(f *faulty) {
		f.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
			f.mu.Lock()
			f.formats[from.String()] = from.Format != nil
			f.mu.Unlock()
			return f.memory.Open(ctx, from, epoch)
		}
	}},
	{"stale names stay", "another format is another table: what the one before has left is stale", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Stale = nil
			return f.memory.Apply(ctx, b)
		}
	}},
	{"the last row of a name wins", "two rows that come to one name are refused by name", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			b.Rows = slices.Clone(b.Rows)
			for i := range b.Rows {
				if f.key != nil && b.Rows[i].Value != nil {
					name, _ := f.key(b.Rows[i].Key)
					b.Rows[i].Key = []byte(name)
				}
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"names are compared within a step only", "two rows that come to one name are refused by name", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			if f.key != nil {
				f.mu.Lock()
				f.rows[b.Table] = map[string]named{}
				f.mu.Unlock()
			}
			return f.memory.Apply(ctx, b)
		}
	}},
	{"a delete deletes another row of its name", "two rows that come to one name are refused by name", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, r := range b.Rows {
				if f.key != nil && r.Value == nil && err == nil {
					name, _ := f.key(r.Key)
					delete(f.rows[b.Table], name)
				}
			}
			return err
		}
	}},
	{"a row that is too large is waited for", "a row that is too large is refused by name", func(f *faulty) {
		f.apply = func(ctx context.Context, b topology.Batch) error {
			err := f.memory.Apply(ctx, b)
			if slices.ContainsFunc(b.Rows, func(r topology.Raw) bool { return len(r.Value) > memoryLimit }) {
				return errors.New("broken pipe")
			}
			return err
		}
	}},
	{"a row that is too large is cut", "a row that is too large is refused by name", func(f *faulty) {
		f.apply = changed(f, func(r *topology.Raw) { r.Value = r.Value[:min(len(r.Value), memoryLimit):len(r.Value)] })
	}},
}

// changed applies batches whose rows went through f before.
func changed(f *faulty, change func(*topology.Raw)) func(context.Context, topology.Batch) error {
	return func(ctx context.Context, b topology.Batch) error {
		b.Rows = slices.Clone(b.Rows)
		for i := range b.Rows {
			change(&b.Rows[i])
		}
		return f.memory.Apply(ctx, b)
	}
}

func TestFaultsAreCaught(t *testing.T) {
	catches := map[string]bool{}
	for _, fault := range faults {
		t.Run(fault.fault, func(t *testing.T) {
			var caught []string
			for _, c := range checks {
				if strings.HasPrefix(c.sentence, "10,000") && c.sentence != fault.caught {
					continue // slow
				}
				m := newMemory(t)
				f := &faulty{memory: m, name: "faulty"}
				fault.breaks(f)
				err := c.err(t, Target{
					New: func(*testing.T) topology.Sink { return f }, Get: m.row, Lose: m.lose, Limit: memoryLimit,
					Keyed: func(_ *testing.T, key func([]byte) (string, error)) topology.Sink {
						f.key = key
						return f
					},
				})
				if err != nil {
					t.Logf("%s: %v", c.sentence, err)
					caught = append(caught, c.sentence)
					catches[c.sentence] = true
				}
			}
			if !slices.Contains(caught, fault.caught) {
				t.Errorf("not caught by %q, only by %q", fault.caught, caught)
			}
		})
	}
	for _, c := range checks {
		if !catches[c.sentence] {
			t.Errorf("no fault is caught by %q", c.sentence)
		}
	}
}
