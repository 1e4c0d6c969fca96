package processor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

const whole = "whole" // a thing as it was left

// things are what is compared before the first record, and what is done to each.
var things = []struct {
	name string
	do   map[string]func(c *cluster, dir string)
}{
	{"offsets", map[string]func(*cluster, string){
		"deleted": func(c *cluster, _ string) {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = []string{helloGroup}
			resp, err := req.RequestWith(context.Background(), c.client)
			if err != nil || resp.Groups[0].ErrorCode != 0 {
				c.t.Fatal(err, resp)
			}
		},
		"emptied": func(c *cluster, _ string) {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = helloGroup
			topic, p := kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
			topic.Topic, topic.Partitions = journal.Name, append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			resp, err := req.RequestWith(context.Background(), c.client)
			if err != nil || resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
				c.t.Fatal(err, resp)
			}
		},
		"by hand": func(c *cluster, _ string) { c.setOffset(journal.Name, 0, combined, "") },
		"other application": func(c *cluster, _ string) {
			c.setOffset(journal.Name, 0, combined, processor.TableNotes("kfake", "other-store"))
		},
		"other cluster": func(c *cluster, _ string) {
			c.setOffset(journal.Name, 0, combined, processor.TableNotes("other", helloGroup))
		},
	}},
	{"local table", map[string]func(*cluster, string){
		"deleted": func(c *cluster, dir string) { c.must(os.RemoveAll(filepath.Join(dir, hellos.Name))) },
		"emptied": func(c *cluster, dir string) {
			c.must(os.RemoveAll(filepath.Join(dir, hellos.Name, "0")))
			c.must(os.Mkdir(filepath.Join(dir, hellos.Name, "0"), 0o755))
		},
		"anew": func(c *cluster, dir string) {
			c.must(os.RemoveAll(filepath.Join(dir, hellos.Name)))
			c.alterOne(dir, func(*store.Store, string) error { return nil })
		},
		"other application": func(c *cluster, dir string) {
			c.alterOne(dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin(strings.Replace(source, `"application":"hello`, `"application":"other`, 1)))
			})
		},
		"other cluster": func(c *cluster, dir string) {
			c.alterOne(dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin(strings.Replace(source, `"cluster":"`, `"cluster":"other`, 1)))
			})
		},
	}},
	{"changelog", map[string]func(*cluster, string){
		"deleted": func(c *cluster, _ string) { c.must(c.DeleteTopic(hellosLog)) },
		"emptied": func(c *cluster, _ string) {
			c.must(c.DeleteRecords(hellosLog, 0, c.PartitionInfos(hellosLog)[0].HighWatermark))
		},
		"anew": func(c *cluster, _ string) {
			c.must(c.DeleteTopic(hellosLog))
			c.create(hellosLog, 1, map[string]string{"cleanup.policy": "compact"})
		},
		"replaced": func(c *cluster, _ string) {
			c.must(c.DeleteTopic(hellosLog))
			c.create(hellosLog, 1, map[string]string{"cleanup.policy": "compact"})
			c.produce(hellosLog, greeting(77, 77))
		},
	}},
	{"sink", map[string]func(*cluster, string){
		"deleted": func(c *cluster, _ string) { c.redis.FlushAll() },
		"without fence": func(c *cluster, _ string) {
			for _, key := range c.redis.Keys() {
				if strings.HasPrefix(key, "tidemark:") {
					c.redis.Del(key)
				}
			}
			c.must(c.redis.Set(hellos.Name+":stranger", "{}"))
		},
		"anew": func(c *cluster, _ string) {
			c.redis.FlushAll()
			c.must(c.redis.Set(hellos.Name+":stranger", "{}"))
		},
		"replaced": func(c *cluster, _ string) {
			c.refill(func(c *cluster) *topology.Topology { return c.hello() })
		},
		"other application": func(c *cluster, _ string) {
			c.refill(func(c *cluster) *topology.Topology {
				return helloOf(c.t, "other", &redis.Sink{Addr: c.redis.Addr()})
			})
		},
		"other cluster": func(c *cluster, _ string) {
			c.refill(func(c *cluster) *topology.Topology { return c.hello() }, kfake.ClusterID("other"))
		},
		"other table": func(c *cluster, _ string) {
			c.refill(func(c *cluster) *topology.Topology {
				b := topology.NewBuilder("hello")
				other := topology.Store[string, hello]{Name: "other-store"}
				topology.Sync(topology.Materialize(b, journal, other), &redis.Sink{Addr: c.redis.Addr(), Category: hellos.Name})
				return build(c.t, b)
			})
		},
	}},
}

// refill has Redis filled by a topology that runs elsewhere.
func (c *cluster) refill(of func(*cluster) *topology.Topology, opts ...kfake.Opt) {
	c.t.Helper()
	c.redis.FlushAll()
	elsewhere := newCluster(c.t, 1, opts...)
	elsewhere.redis = c.redis
	elsewhere.create(journal.Name, 1, nil)
	elsewhere.produce(journal.Name, greeting(77, 77))
	i := elsewhere.start(of(elsewhere), nil)
	eventually(c.t, func() error {
		if diff := cmp.Diff(lastValues(elsewhere.read(journal.Name)), c.redisRows(hellos.Name)); diff != "" {
			return fmt.Errorf("redis (-want +got):\n%s", diff)
		}
		return nil
	})
	c.must(i.stop())
}

// foreign tells whether a thing belongs to somebody else.
func foreign(state string) bool { return strings.HasPrefix(state, "other ") }

const (
	sink       = 3  // of things
	combined   = 80 // records of the journal
	helloGroup = "hello-hello-state-store"
)

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) alterOne(dir string, change func(s *store.Store, source string) error) {
	c.t.Helper()
	var source string
	s, _, err := store.Open(filepath.Join(dir, hellos.Name, "0"), store.Options{}, func(o store.Origin) error {
		source = o.Source
		return nil
	})
	c.must(err)
	c.must(errors.Join(change(s, source), s.Close(false)))
}

// A combination is a row of the table in docs/design.md: what may be with each
// thing, and what happens then.
type combination struct {
	states [4][]string
	then   string
}

// combinations reads the table.
func combinations(t *testing.T) (rows []combination) {
	t.Helper()
	text, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| offsets | local table | changelog | sink | then |\n")
	if !ok {
		t.Fatal("there is no such table in docs/design.md")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		switch {
		case len(cells) < 5:
			return rows
		case strings.HasPrefix(line, "| ---"):
			continue
		}
		row := combination{then: strings.TrimSpace(cells[4])}
		for i, x := range things {
			all := append([]string{whole}, slices.Collect(maps.Keys(x.do))...)
			cell := strings.TrimSpace(cells[i])
			row.states[i] = strings.Split(cell, ", ")
			switch cell {
			case "any":
				row.states[i] = all
			case "ours":
				row.states[i] = slices.DeleteFunc(all, foreign)
			}
			for _, s := range row.states[i] {
				if s != whole && x.do[s] == nil {
					t.Fatalf("%s: nothing is known of %q", x.name, s)
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Offsets, local table, changelog and sink are compared before the first record:
// whatever one or two of them are, and whoever the sink belongs to beside that,
// docs/design.md says what happens.
func TestCombinations(t *testing.T) {
	rows := combinations(t)
	used := map[int]bool{}
	n := 0
	each(func(states [4]string) {
		found := -1
		for i, row := range rows {
			fits := true
			for k := range states {
				fits = fits && slices.Contains(row.states[k], states[k])
			}
			if fits && found >= 0 {
				t.Fatalf("%v is in rows %d and %d", states, found, i)
			}
			if fits {
				found = i
			}
		}
		if found < 0 {
			t.Fatalf("%v is in no row", states)
		}
		harmed := 0
		for _, s := range states {
			if s != whole {
				harmed++
			}
		}
		first := !used[found]
		used[found] = true
		if n++; harmed >= 2 && !first && !everyHarm && n%(5*(harmed-1)) != 0 {
			return
		}
		t.Run(strings.Join(states[:], ", "), func(t *testing.T) {
			t.Parallel()
			combine(t, states, rows[found].then)
		})
	})
	if len(used) != len(rows) {
		t.Errorf("%d of %d rows are about no combination", len(rows)-len(used), len(rows))
	}
}

// each calls do for each combination of at most two things that are not whole, and
// of a foreign sink with two others: it is compared last.
func each(do func([4]string)) {
	none := [4]string{whole, whole, whole, whole}
	do(none)
	for i, x := range things {
		for _, s := range slices.Sorted(maps.Keys(x.do)) {
			one := none
			one[i] = s
			do(one)
			for k := i + 1; k < len(things); k++ {
				for _, s := range slices.Sorted(maps.Keys(things[k].do)) {
					two := one
					two[k] = s
					do(two)
					for _, s := range slices.Sorted(maps.Keys(things[sink].do)) {
						if three := two; k != sink && foreign(s) {
							three[sink] = s
							do(three)
						}
					}
				}
			}
		}
	}
}

func combine(t *testing.T, states [4]string, then string) {
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	c.produce(journal.Name, greetings(combined, 10)...)
	i := c.start(c.hello(), nil)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	for k, x := range things {
		if states[k] != whole {
			x.do[states[k]](c, i.dir)
		}
	}
	before := c.redis.Dump()
	i = c.start(c.hello(), keep(i.dir))
	outcome, text, _ := strings.Cut(then, ": ")
	switch outcome {
	case "exact":
		c.tables(lastValues(c.read(journal.Name)), i)
		c.produce(journal.Name, greetings(20, 15)...)
		c.drained(helloGroup, journal.Name)
		c.tables(lastValues(c.read(journal.Name)), i)
	case "as told":
		want := lastValues(c.read(hellosLog))
		c.tables(want, i)
		if !i.log.contains("they are believed") {
			t.Error("the log says nothing of it")
		}
	case "refused":
		if err := i.ends(); !strings.Contains(err, strings.Trim(text, `"`)) {
			t.Errorf("it ended with %q, want %q in it", err, text)
		}
		if diff := cmp.Diff(before, c.redis.Dump()); foreign(states[sink]) && diff != "" {
			t.Errorf("the foreign sink (-before +after):\n%s", diff)
		}
	default:
		t.Fatalf("what is %q?", then)
	}
}

// tables waits until the table and Redis hold what is wanted.
func (c *cluster) tables(want map[string]string, i *instance) {
	c.t.Helper()
	eventually(c.t, func() error {
		select {
		case <-i.ended:
			c.t.Fatalf("the instance ended with %v", i.err)
		default:
		}
		got := map[string]string{}
		if err := i.rows(hellos.Name, got); err != nil {
			return err
		}
		if s := i.Status().State; s != processor.Running {
			return fmt.Errorf("it is %v", s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("table (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, c.redisRows(hellos.Name)); diff != "" {
			return fmt.Errorf("redis (-want +got):\n%s", diff)
		}
		return nil
	})
}
