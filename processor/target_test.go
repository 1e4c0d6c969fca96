package processor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

const ownerKey = "tidemark:owner:hello-state-store"

// helloOf is the hello topology of an application of another name.
func helloOf(t testing.TB, application string, sink topology.Sink) *topology.Topology {
	b := topology.NewBuilder(application)
	topology.Sync(topology.Materialize(b, journal, hellos), sink)
	return build(t, b)
}

// refusesTarget expects that an instance ends and says whose the target is.
func refusesTarget(t *testing.T, i *instance, whose, whoAsks string) {
	t.Helper()
	got := i.failed()
	for _, want := range []string{
		topology.ErrForeign.Error(), whose, whoAsks, `"hello-state-store:*"`, "set Category to another or use another database",
		`to hand it over, stop the other one and delete the key "` + ownerKey + `"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it ends with %q, which does not say %q", got, want)
		}
	}
}

// Two applications with tables of one name do not sweep each other's rows.
func TestTargetOfAnotherApplication(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	before := c.redisRows(hellos.Name)
	other := c.start(helloOf(t, "other", &redis.Sink{Addr: c.redis.Addr()}), nil)
	refusesTarget(t, other, `of table "hello-state-store" of application "hello", cluster "`, `of application "other", cluster "`)
	if diff := cmp.Diff(before, c.redisRows(hellos.Name)); diff != "" {
		t.Errorf("Redis (-before +after):\n%s", diff)
	}
	c.produce(journal.Name, greetings(90, 15)...)
	c.materialized(i)
	if n := i.Status().Counts.SinkRebuilds; n != 0 {
		t.Errorf("%d rebuilds", n)
	}

	apart := c.start(helloOf(t, "other", &redis.Sink{Addr: c.redis.Addr(), Category: "others"}), nil)
	apart.await(processor.Running)
	inRedis(t, c.redis, "others", c.redisRows(hellos.Name))
}

func TestTargetOfAnotherCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	another := newCluster(t, 1, kfake.ClusterID("another"))
	another.create(journal.Name, 2, nil)
	refusesTarget(t, another.start(c.hello(), nil), `of application "hello", cluster "kfake"`, `of application "hello", cluster "another"`)
	c.produce(journal.Name, greetings(90, 15)...)
	c.materialized(i)
}

func TestTargetIsTakenAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	c.redis.HSet(ownerKey, "application", "other")
	refusesTarget(t, i, `of application "other"`, `of application "hello"`)
}

func TestTargetIsHandedOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	c.redis.Set(hellos.Name+":of the first one only", "{}")
	c.redis.Del(ownerKey)
	c.start(helloOf(t, "other", &redis.Sink{Addr: c.redis.Addr()}), nil)
	inRedis(t, c.redis, hellos.Name, lastValues(c.read(journal.Name)))
	if got := c.redis.HGet(ownerKey, "application"); got != "other" {
		t.Errorf("the owner is %q", got)
	}
	refusesTarget(t, c.start(c.hello(), nil), `of application "other"`, `of application "hello"`)
}

var (
	clicks  = topology.Topic[string, string]{Name: "clicks", Key: codec.String{}, Value: codec.String{}}
	hourly  = topology.Store[topology.Windowed[string], int64]{Name: "hourly"}
	visited = topology.Store[topology.Windowed[string], int64]{Name: "visits"}
	pages   = topology.Store[string, string]{Name: "pages"}
)

// clicked declares tables of each kind, to sinks of their own.
func clicked(t testing.TB, sink func() topology.Sink) *topology.Topology {
	b := topology.NewBuilder("clicked")
	all := topology.Consume(b, clicks)
	topology.Sync(topology.Count(topology.Window(all, topology.Tumbling{Size: time.Hour}), hourly), sink())
	topology.Sync(topology.Count(topology.Window(all, topology.Session{Gap: 10 * time.Minute}), visited), sink())
	topology.Sync(topology.ToTable(all, pages), sink())
	return build(t, b)
}

func clicksAt(key string, times ...string) (raws []topology.Raw) {
	for _, at := range times {
		when, _ := time.Parse(time.TimeOnly, at)
		raws = append(raws, topology.Raw{Key: []byte(key), Value: []byte("page at " + at), Time: when.AddDate(2026, 10, 24)})
	}
	return raws
}

// clickedRows is what a reader finds, but for what tidemark keeps for itself.
var clickedRows = map[string]string{
	"hourly:anna:2026-11-25T08:00:00Z":                      "3",
	"hourly:anna:2026-11-25T09:00:00Z":                      "1",
	"hourly:a:b:2026-11-25T08:00:00Z":                       "1",
	"visits:anna:2026-11-25T08:00:00Z/2026-11-25T08:05:01Z": "3",
	"visits:anna:2026-11-25T09:00:00Z/2026-11-25T09:00:00Z": "1",
	"visits:a:b:2026-11-25T08:00:30Z/2026-11-25T08:00:30Z":  "1",
	"pages:anna": "page at 09:00:00",
	"pages:a:b":  "page at 08:00:30",
}

func (c *cluster) click() {
	c.create(clicks.Name, 2, nil)
	c.produce(clicks.Name, clicksAt("a:b", "08:00:30")...)
	c.produce(clicks.Name, clicksAt("anna", "08:00:00", "08:05:00", "08:05:01", "09:00:00")...)
}

func rowsInRedis(r *miniredis.Miniredis) map[string]string {
	rows := map[string]string{}
	for _, key := range r.Keys() {
		if !strings.HasPrefix(key, "tidemark:") {
			rows[key], _ = r.Get(key)
		}
	}
	return rows
}

func (c *cluster) eventuallyClicked() {
	c.t.Helper()
	eventually(c.t, func() error {
		if diff := cmp.Diff(clickedRows, rowsInRedis(c.redis)); diff != "" {
			return fmt.Errorf("Redis (-want +got):\n%s", diff)
		}
		return nil
	})
}

// Redis is read by people, and by programs in other languages.
func TestSinkIsReadable(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.click()
	c.start(clicked(t, func() topology.Sink { return &redis.Sink{Addr: c.redis.Addr()} }), nil)
	c.eventuallyClicked()
}

// Rows that an older version has written as bytes, with no owner, are taken over:
// written as text, and nothing else is left.
func TestTargetOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]bool{"on its disk": false, "on another disk": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.click()
			old := c.start(clicked(t, func() topology.Sink { return &redis.Sink{Addr: c.redis.Addr(), Raw: true} }), nil)
			eventually(t, func() error {
				if n := len(rowsInRedis(c.redis)); n != len(clickedRows) {
					return fmt.Errorf("%d rows", n)
				}
				return nil
			})
			if err := old.stop(); err != nil {
				t.Fatal(err)
			}
			if got, err := c.redis.Get("pages:anna"); err != nil || got != clickedRows["pages:anna"] {
				t.Errorf("as bytes: %q, %v", got, err)
			}
			for _, key := range c.redis.Keys() {
				if strings.HasPrefix(key, "tidemark:owner:") {
					c.redis.Del(key)
				} else if strings.HasPrefix(key, "tidemark:fence:") {
					c.redis.HDel(key, "format")
				}
			}
			dir := old.dir
			if empty {
				dir = t.TempDir()
			}
			i := c.start(clicked(t, func() topology.Sink { return &redis.Sink{Addr: c.redis.Addr()} }), keep(dir))
			c.eventuallyClicked()
			if got := c.redis.HGet("tidemark:owner:hourly", "application"); got != "clicked" {
				t.Errorf("the owner is %q", got)
			}
			for _, line := range strings.Split(i.log.String(), "\n") {
				if strings.Contains(line, "rebuilt") && strings.Contains(line, "clicked-pages") {
					t.Errorf("what was text already is written again: %s", line)
				}
			}
		})
	}
}

// A byValue sink is no pointer, and cannot be compared.
type byValue struct {
	topology.Sink
	tags []string
}

func TestSinkByValue(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(helloOf(t, "hello", byValue{&redis.Sink{Addr: c.redis.Addr()}, []string{"a"}}), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
}

// A narrow sink takes a few rows in a step.
type narrow struct {
	topology.Sink
	most int
}

func (n narrow) Apply(ctx context.Context, b topology.Batch) error {
	if len(b.Rows)+len(b.Stale) > n.most {
		return fmt.Errorf("%w: %d rows", topology.ErrTooLarge, len(b.Rows))
	}
	return n.Sink.Apply(ctx, b)
}

// What is too large for a sink is split, live and in a rebuild.
func TestSinkTakesSmallSteps(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 3} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			c.produce(journal.Name, greetings(100, 40)...)
			i := c.start(helloOf(t, "hello", narrow{&redis.Sink{Addr: c.redis.Addr()}, most}), nil)
			c.materialized(i)
			for range 5 {
				c.produce(journal.Name, greetings(100, 40)...)
			}
			c.materialized(i)
			for n := range 50 {
				c.redis.Set(fmt.Sprintf("hello-state-store:stale-%d", n), "stale")
			}
			c.redis.Del(fence + "0")
			c.redis.Del(fence + "1")
			c.materialized(i)
		})
	}
}

// A row that a sink never takes ends the instance, by name.
func TestSinkRefusesARow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sink func(*redis.Sink) topology.Sink
		want string
	}{
		"too large": {func(r *redis.Sink) topology.Sink { return narrow{r, 0} }, topology.ErrTooLarge.Error()},
		"of another's name": {func(r *redis.Sink) topology.Sink {
			r.Key = func([]byte) (string, error) { return "same", nil }
			return r
		}, "the sink's Key must give each row a name of its own"},
		"without a name": {func(r *redis.Sink) topology.Sink {
			r.Key = func([]byte) (string, error) { return "", errors.New("no name") }
			return r
		}, "its key cannot be written: no name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			c.produce(journal.Name, greetings(10, 2)...)
			i := c.start(helloOf(t, "hello", test.sink(&redis.Sink{Addr: c.redis.Addr()})), nil)
			if got := i.failed(); !strings.Contains(got, `row "testid-`) || !strings.Contains(got, test.want) || !strings.Contains(got, "hello-state-store/0") {
				t.Errorf("it ends with %q", got)
			}
		})
	}
}

// Changes of a key that come in one step keep their order, deletes among them.
func TestSinkKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	b := topology.NewBuilder("hello")
	every := hellos
	every.EveryChange = true
	topology.Sync(topology.Materialize(b, journal, every), &redis.Sink{Addr: c.redis.Addr()})
	i := c.start(build(t, b), nil)
	i.await(processor.Running)
	gone := func(key int) topology.Raw { return topology.Raw{Key: greeting(key, 0).Key} }
	for range 20 {
		c.produce(journal.Name,
			greeting(1, 1), gone(1), greeting(1, 2), // is there
			greeting(2, 1), gone(2), // is not
			gone(3), greeting(3, 1), gone(3), greeting(3, 2), gone(3),
			greeting(4, 1), greeting(4, 2),
		)
	}
	inRedis(t, c.redis, hellos.Name, lastValues(c.drained("hello-"+hellos.Name, journal.Name)))
}

// A row that the target never takes goes where the policy for Write says, and
// the others arrive.
func TestSinkLeavesARowOut(t *testing.T) {
	t.Parallel()
	for _, policy := range []topology.Policy{topology.Skip, topology.DeadLetter} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			sink := &redis.Sink{Addr: c.redis.Addr()}
			sink.Key = func(key []byte) (string, error) {
				if string(key) == "testid-01" {
					return "", errors.New("no name")
				}
				return string(key), nil
			}
			c.produce(journal.Name, greeting(1, 1), greeting(2, 2), greeting(3, 3))
			i := c.start(helloOf(t, "hello", sink), writes(policy))
			c.drained("hello-"+hellos.Name, journal.Name)
			inRedis(t, c.redis, hellos.Name, lastValues([]topology.Raw{greeting(2, 2), greeting(3, 3)}))
			if s := i.Status().Counts; s.Skipped+s.DeadLetters != 1 {
				t.Errorf("skipped %d, dead letters %d, want one", s.Skipped, s.DeadLetters)
			}
			if policy == topology.DeadLetter {
				if letters := c.letters("hello-dead-letters"); len(letters) != 1 || string(letters[0].Key) != "testid-01" {
					t.Errorf("%d dead letters", len(letters))
				}
			}
		})
	}
}
