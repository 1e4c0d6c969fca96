package processor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/internal/proof/damage"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// everyHarm says whether tests of damage try all of it, or a sample.
var everyHarm = os.Getenv("TIDEMARK_DAMAGE") == "all"

// A wreck is a small state directory as a kill has left it, and a cluster that has
// gone on since.
type wreck struct {
	*cluster
	dir  string
	want map[string]string
}

func newWreck(t *testing.T) *wreck {
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	for round := range 3 { // each of which LevelDB makes a table of when it is opened next
		c.produce(journal.Name, greetings(60, 20+round)...)
		c.materialized(i)
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
		i = c.start(c.hello(), keep(i.dir))
	}
	c.produce(journal.Name, greetings(60, 25)...)
	c.materialized(i)
	w := &wreck{cluster: c, dir: filepath.Join(t.TempDir(), "killed")}
	if err := os.CopyFS(w.dir, os.DirFS(i.dir)); err != nil {
		t.Fatal(err)
	}
	c.produce(journal.Name, greetings(30, 30)...)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	w.want = lastValues(c.read(hellosLog))
	return w
}

// harm starts an instance on a copy of the directory that was harmed, with an empty
// Redis: table and Redis are right in the end.
func (w *wreck) harm(t *testing.T, h damage.Harm) (outcome string) {
	dir := filepath.Join(t.TempDir(), "harmed")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(w.dir)), h.Do(dir)); err != nil {
		t.Fatal(err)
	}
	w.redis.FlushAll()
	i := w.start(w.hello(), keep(dir))
	defer func() {
		if err := i.stop(); err != nil {
			t.Errorf("%s: the instance ended with %v", h, err)
		}
	}()
	var wrong error
	eventually(t, func() error {
		select {
		case <-i.ended:
			wrong = fmt.Errorf("it ended with %w", i.err)
			return nil
		default:
		}
		got := map[string]string{}
		if err := i.rows(hellos.Name, got); err != nil {
			return err
		}
		if len(got) == 0 {
			return errors.New("it has no rows")
		}
		if i.Status().State == processor.Running {
			if diff := cmp.Diff(w.want, got); diff != "" {
				wrong = fmt.Errorf("table (-want +got):\n%s", diff) // also if it passes: it has been shown
			}
		}
		if diff := cmp.Diff(w.want, w.redisRows(hellos.Name)); diff != "" {
			return fmt.Errorf("redis (-want +got):\n%s", diff)
		}
		return nil
	})
	if wrong != nil {
		t.Errorf("%s: %v", h, wrong)
	}
	for _, word := range []string{"wiped", "was cut off", "was damaged"} {
		if i.log.contains(word) {
			return word
		}
	}
	return "harmless"
}

// Whatever file of a state directory is damaged in whatever way: table and Redis are
// right in the end, and the log says what was done.
func TestDamageEverywhere(t *testing.T) {
	t.Parallel()
	const workers = 2
	var next atomic.Int64
	var outcomes [4]atomic.Int64
	words := []string{"harmless", "wiped", "was cut off", "was damaged"}
	t.Run("all", func(t *testing.T) {
		for n := range workers {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				w := newWreck(t)
				harms, err := damage.All(w.dir, 64)
				if err != nil {
					t.Fatal(err)
				}
				for {
					at := next.Add(1) - 1
					if !everyHarm {
						at *= 11
					}
					if at >= int64(len(harms)) {
						return
					}
					outcome := w.harm(t, harms[at])
					for k, word := range words {
						if word == outcome {
							outcomes[k].Add(1)
						}
					}
				}
			})
		}
	})
	for k, word := range words {
		t.Logf("%s: %d", word, outcomes[k].Load())
		if outcomes[k].Load() == 0 && (everyHarm || k == 1 || k == 2) {
			t.Errorf("none was %s", word)
		}
	}
}

// Damage that is met while a table is open ends its task, and that partition is
// restored, as at the start. Whoever asks meanwhile is told that it is being
// restored, and never something that is not so.
func TestDamageWhileRunning(t *testing.T) {
	for name, meet := range map[string]func(c *cluster, i *instance){
		"a sink is rebuilt": func(c *cluster, _ *instance) { c.redis.FlushAll() },
		"a scan": func(c *cluster, i *instance) {
			if err := i.rows(hellos.Name, map[string]string{}); !errors.Is(err, processor.ErrRestoring) {
				c.t.Errorf("a scan is answered with %v", err)
			}
		},
		"a lookup": func(c *cluster, i *instance) {
			view := processor.Query(i.Processor, topology.Store[string, string]{Name: hellos.Name, Key: codec.String{}, Value: codec.String{}})
			var restoring error
			for n := 0; n < 4000 && restoring == nil; n += 10 {
				v, ok, err := view.Get(context.Background(), fmt.Sprintf("key-%04d", n))
				if err == nil && (!ok || v.Value != large(n)) {
					c.t.Fatalf("key %d: %v, %q", n, ok, v.Value)
				}
				restoring = err
			}
			if !errors.Is(restoring, processor.ErrRestoring) {
				c.t.Errorf("a lookup is answered with %v", restoring)
			}
		},
		"another instance's lookup in all partitions": func(c *cluster, i *instance) {
			status := http.StatusOK
			for n := 0; n < 4000 && status == http.StatusOK; n += 10 {
				req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://localhost/v1/tables/%s?anywhere=1&key=key-%04d", hellos.Name, n), nil)
				req.Header.Set("Tidemark-Hop", "1")
				w := httptest.NewRecorder()
				i.Handler().ServeHTTP(w, req)
				status = w.Code
			}
			if status != http.StatusServiceUnavailable {
				c.t.Errorf("it is answered with %d", status)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			texts := topology.Topic[string, string]{Name: journal.Name, Key: codec.String{}, Value: codec.String{}}
			c.create(texts.Name, 2, nil)
			want := map[string]string{}
			var raws []topology.Raw
			for n := range 4000 {
				r, err := texts.Encode(fmt.Sprintf("key-%04d", n), large(n))
				if err != nil {
					t.Fatal(err)
				}
				raws, want[string(r.Key)] = append(raws, r), string(r.Value)
			}
			c.produce(texts.Name, raws...)
			topo := func() *topology.Topology {
				b := topology.NewBuilder("hello")
				topology.Sync(topology.Materialize(b, texts, topology.Store[string, string]{Name: hellos.Name}), &redis.Sink{Addr: c.redis.Addr()})
				return build(t, b)
			}
			i := c.start(topo(), nil)
			c.drained("hello-"+hellos.Name, texts.Name)
			c.hold(hellosLog, hellos.Name, want, i)
			if err := i.stop(); err != nil { // so that there are files, of which little is in memory
				t.Fatal(err)
			}
			i = c.start(topo(), keep(i.dir))
			i.await(processor.Running)
			files, err := filepath.Glob(filepath.Join(i.dir, hellos.Name, "*", "*.ldb"))
			if err != nil || len(files) < 2 {
				t.Fatal(files, err)
			}
			for _, f := range files {
				info, err := os.Stat(f)
				if err != nil {
					t.Fatal(err)
				}
				zero := damage.Harm{Kind: damage.Zero, File: filepath.Base(f), At: info.Size() / 4, Size: info.Size() / 2}
				if err := zero.Do(filepath.Dir(f)); err != nil {
					t.Fatal(err)
				}
			}
			meet(c, i)
			eventually(t, func() error {
				if n := strings.Count(i.log.String(), "local table wiped"); n == 0 {
					return errors.New("nothing was wiped")
				}
				return nil
			})
			c.hold(hellosLog, hellos.Name, want, i)
			if !i.log.contains(".ldb") {
				t.Error("the log does not name the file")
			}
			again, err := texts.Encode("key-0000", "new")
			if err != nil {
				t.Fatal(err)
			}
			c.produce(texts.Name, again)
			want["key-0000"] = "new"
			c.drained("hello-"+hellos.Name, texts.Name)
			c.hold(hellosLog, hellos.Name, want, i)
		})
	}
}

func large(n int) string { return strings.Repeat(fmt.Sprintf("%04d/", n), 200) }

// A global table that is damaged, before the start or while it is open, is read
// again from its topic.
func TestGlobalTableDamaged(t *testing.T) {
	var raws []topology.Raw
	for n := range 3000 {
		raws = append(raws, said(fmt.Sprintf("state-%04d", n), large(n)))
	}
	for name, running := range map[string]bool{"before the start": false, "while it runs": true} {
		files, word := "*.log", "what a local global table wrote last was cut off"
		if running {
			files, word = "*.ldb", "local global table wiped"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newMoody(t, raws...)
			i := c.start(explaining(t, moods), nil)
			i.await(processor.Running)
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
			harm := func() {
				tables, err := filepath.Glob(filepath.Join(i.dir, allMoods.Name, "global", files))
				if err != nil || len(tables) == 0 {
					t.Fatal(tables, err)
				}
				for _, f := range tables {
					info, err := os.Stat(f)
					if err != nil {
						t.Fatal(err)
					}
					c.must(damage.Harm{Kind: damage.Zero, File: filepath.Base(f), At: info.Size() / 4, Size: info.Size() / 2}.Do(filepath.Dir(f)))
				}
			}
			if !running {
				harm()
			}
			i = c.start(explaining(t, moods), keep(i.dir))
			i.await(processor.Running)
			if running {
				harm()
			}
			want := lastValues(c.read(moods.Name))
			met := !running
			eventually(t, func() error {
				got := map[string]string{}
				err := i.rows(allMoods.Name, got)
				if err == nil && met {
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("rows (-want +got):\n%s", diff)
					}
					return nil
				}
				if err != nil && !errors.Is(err, processor.ErrRestoring) {
					t.Fatalf("a scan is answered with %v", err)
				}
				met = met || err != nil
				return errors.Join(err, errors.New("not restored"))
			})
			if !i.log.contains(word) || !i.log.contains(files[1:]) {
				t.Errorf("the log says nothing of it:\n%s", i.log)
			}
		})
	}
}

// A changelog that is deleted under a running instance, and that nobody makes anew,
// ends it. It says so, and the next start as well.
func TestChangelogDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	c.produce(journal.Name, greetings(100, 10)...)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.StartTimeout = time.Second })
	c.materialized(i)
	c.must(c.DeleteTopic(hellosLog))
	c.produce(journal.Name, greetings(10, 10)...)
	if err := i.ends(); !strings.Contains(err, hellosLog) {
		t.Errorf("it ended with %q", err)
	}
	if err := c.start(c.hello(), keep(i.dir)).ends(); !strings.Contains(err, "has lost the rows of table") {
		t.Errorf("the next one ended with %q", err)
	}
}

// A disk without room is waited for, with a word, and nothing is wiped for it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk).Run(); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", disk).Run() })
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	filler := filepath.Join(disk, "filler")
	c.must(os.WriteFile(filler, make([]byte, 10<<20), 0o644))
	var raws []topology.Raw
	for n := range 4000 {
		raws = append(raws, greeting(n, n))
		raws[n].Value = fmt.Appendf(nil, `{"state":%q}`, large(n))
	}
	i := c.start(c.hello(), keep(filepath.Join(disk, "state")))
	i.await(processor.Running)
	c.produce(journal.Name, raws...)
	eventually(t, func() error {
		if !i.log.contains("no space left on device: make room") {
			return errors.New("nothing is said")
		}
		return nil
	})
	c.must(os.Remove(filler))
	c.materialized(i)
	if i.log.contains("wiped") {
		t.Error("a table was wiped")
	}
}
