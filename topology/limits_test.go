package topology_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// mirror is a table of a topic whose changes are published, too.
func mirror(t *testing.T, policies topology.Policies) (*topology.Task, rows) {
	t.Helper()
	b := topology.NewBuilder("app")
	in := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}, Policies: policies}
	table := topology.Materialize(b, in, topology.Store[string, string]{Name: "mirror"})
	topology.Publish(table, topology.Topic[string, string]{Name: "out"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	kept := rows{}
	task, err := topo.Groups()[0].NewTask(0, func(string) topology.Rows { return kept }, "", topology.Policies{})
	if err != nil {
		t.Fatal(err)
	}
	return task, kept
}

// A record is refused when its row or its output does not fit, at the byte, and
// none of its effects is left.
func TestLimits(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	value := strings.Repeat("v", 1000)
	size := topology.BatchBytes([]byte("k"), []byte(value), nil)
	for name, c := range map[string]struct {
		limits topology.Limits
		key    string
		at     time.Time
		want   string // of the error; "" for none
	}{
		"none":            {},
		"just as large":   {limits: topology.Limits{Bytes: size}},
		"a byte too much": {limits: topology.Limits{Bytes: size - 1}, want: fmt.Sprintf(`key "k": %d bytes are more than the topic's max.message.bytes of %d`, size, size-1)},
		"early":           {limits: topology.Limits{Before: time.Hour}, at: now.Add(-2 * time.Hour), want: "message.timestamp.before.max.ms"},
		"late":            {limits: topology.Limits{After: time.Hour}, at: now.Add(2 * time.Hour), want: "message.timestamp.after.max.ms"},
		"in time":         {limits: topology.Limits{After: time.Hour, Before: time.Hour}, at: now.Add(time.Minute)},
		"refused before": {limits: topology.Limits{Refuses: func(key, _ []byte) error {
			return fmt.Errorf("the broker does not like %q", key)
		}}, want: `the broker does not like "k"`},
	} {
		for _, topic := range []string{"app-mirror-table", "out"} {
			t.Run(name+" "+topic, func(t *testing.T) {
				task, _ := mirror(t, topology.Policies{Decode: topology.Skip, Process: topology.Skip, Write: topology.DeadLetter})
				task.Now = func() time.Time { return now }
				task.Limits = func(to string) topology.Limits {
					if to == topic {
						return c.limits
					}
					return topology.Limits{}
				}
				if c.at.IsZero() {
					c.at = now
				}
				w, err := task.Process(topology.Raw{Key: []byte("k"), Value: []byte(value), Time: c.at, Position: topology.Position{Topic: "in", Offset: 7}})
				if c.want == "" {
					if err != nil || len(w.Rows) != 1 || len(w.Records) != 1 {
						t.Errorf("got %d rows, %d records, %v", len(w.Rows), len(w.Records), err)
					}
					return
				}
				var e *topology.RecordError
				var refused *topology.WriteError
				if !errors.As(err, &e) || e.Policy != topology.DeadLetter || e.Offset != 7 || !errors.As(err, &refused) || refused.Topic != topic || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want a refusal of %s with %q", err, topic, c.want)
				}
				if w, err := task.Process(topology.Raw{Key: []byte("l"), Value: []byte("small"), Time: now, Position: topology.Position{Topic: "in", Offset: 8}}); c.limits.Refuses == nil && (err != nil || len(w.Rows) != 1) {
					t.Errorf("the next record: %v, %v", w, err)
				}
			})
		}
	}
}

// BatchBytes is what the broker counts: see TestBatchBytes of internal/kafka for the
// comparison with what is sent.
func TestBatchBytesOfNothing(t *testing.T) {
	if got := topology.BatchBytes(nil, nil, nil); got != 61+1+6 {
		t.Errorf("got %d, want 68", got)
	}
}

// late publishes a large record to topic "late" every hour.
func late(t *testing.T) *topology.Task {
	t.Helper()
	b := topology.NewBuilder("app")
	texts := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}}
	values := topology.ProcessValues(topology.Consume(b, texts), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
		c.Every(time.Hour, topology.WallTime, func(time.Time) error {
			c.Emit(topology.Record[string, string]{Key: "k", Value: strings.Repeat("v", 1000)})
			return nil
		})
		return func(topology.Record[string, string]) error { return nil }
	})
	topology.Publish(values, topology.Topic[string, string]{Name: "late"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	task, err := topo.Groups()[0].NewTask(0, nil, "", topology.Policies{Write: topology.Skip})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// Before outdated limits refuse something the caller is told: a call, of a record or
// of timers, comes to nothing, and succeeds when it is made again with wider limits.
func TestOutdatedLimits(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	wide, outdated := false, true
	limit := func(task *topology.Task) {
		task.Now = func() time.Time { return now }
		task.Limits = func(string) topology.Limits {
			if wide {
				return topology.Limits{}
			}
			return topology.Limits{Bytes: 200}
		}
		task.Outdated = func(string) bool { return outdated }
	}
	large := topology.Raw{Key: []byte("k"), Value: []byte(strings.Repeat("v", 1000)), Time: now, Position: topology.Position{Topic: "in", Offset: 7}}
	for name, want := range map[string]string{"record": "app-mirror-table", "timer": "late"} {
		t.Run(name, func(t *testing.T) {
			wide, outdated = false, true
			task, _ := mirror(t, topology.Policies{Write: topology.Skip})
			call := func() (topology.Writes, error) { return task.Process(large) }
			if name == "timer" {
				task = late(t)
				task.Now = func() time.Time { return now }
				if _, err := task.Advance(now); err != nil {
					t.Fatal(err)
				}
				call = func() (topology.Writes, error) { return task.Advance(now.Add(time.Hour)) }
			}
			limit(task)
			for range 2 {
				_, err := call()
				if e, ok := errors.AsType[*topology.OutdatedError](err); !ok || e.Topic != want {
					t.Fatalf("got %v, want the limits of %q to be asked for", err, want)
				}
			}
			wide = true
			if w, err := call(); err != nil || len(w.Records) != 1 || len(w.Refused) > 0 {
				t.Errorf("got %d records, %d refused, %v", len(w.Records), len(w.Refused), err)
			}
		})
	}
	t.Run("not outdated", func(t *testing.T) {
		wide, outdated = false, false
		task, _ := mirror(t, topology.Policies{Write: topology.Skip})
		limit(task)
		if _, err := task.Process(large); err == nil || !strings.Contains(err.Error(), "max.message.bytes of 200") {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}
