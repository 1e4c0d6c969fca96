package topology_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
)

// A race is a foreign join of one left task and two right ones whose records wait
// in queues, as they do in Kafka: which of them goes on first is drawn.
type race struct {
	t      *testing.T
	random *rand.Rand
	left   *storedTask
	right  [2]*storedTask
	queues map[string][]topology.Raw
}

func newRace(t *testing.T, by textJoiner, seed uint64) *race {
	x := &race{t: t, random: rand.New(rand.NewPCG(seed, 5)), queues: map[string][]topology.Raw{}}
	for _, g := range build(t, joinForeign(by)).Groups() {
		if g.Name == "hello-joined" {
			x.left = orderedTask(t, g)
			continue
		}
		for p := range x.right {
			x.right[p] = orderedTask(t, g)
		}
	}
	return x
}

// send queues a record; an empty value is a missing one.
func (x *race) send(topic, key, value string) {
	r := topology.Raw{Key: []byte(key), Time: at(0), Position: topology.Position{Topic: topic}}
	if value != "" {
		r.Value = []byte(value)
	}
	x.queue(r)
}

func (x *race) queue(r topology.Raw) {
	name := r.Topic
	if name == "rights" || name == "hello-joined-subscription" {
		p := topology.Partition(r.Key, 2)
		if r.Key == nil {
			p = x.random.Int32N(2)
		}
		name += fmt.Sprint(p)
	}
	x.queues[name] = append(x.queues[name], r)
}

// step processes the first record of some queue, and tells whether there was one.
func (x *race) step() bool {
	steps := []struct {
		queue string
		task  *storedTask
	}{
		{"lefts", x.left},
		{"hello-joined-response", x.left},
		{"rights0", x.right[0]},
		{"rights1", x.right[1]},
		{"hello-joined-subscription0", x.right[0]},
		{"hello-joined-subscription1", x.right[1]},
	}
	for _, i := range x.random.Perm(len(steps)) {
		name := steps[i].queue
		if len(x.queues[name]) == 0 {
			continue
		}
		first := x.queues[name][0]
		x.queues[name] = x.queues[name][1:]
		for _, sent := range steps[i].task.pass(x.t, first).Records {
			if sent.Topic != results.Name {
				x.queue(sent.Raw)
			}
		}
		return true
	}
	return false
}

// However late answers come, at the end the joined table is what a loop over both
// tables makes. Kafka Streams keeps a row here that it should not: no answer comes
// after an answer that was too late, if there is no right row.
func TestForeignJoinWhateverComesFirst(t *testing.T) {
	for seed := range uint64(400) {
		isLeft := seed%2 == 1
		x := newRace(t, []textJoiner{innerText, leftText}[seed%2], seed)
		both := [2]map[string]string{{}, {}}
		for i := range 60 {
			side := x.random.IntN(2)
			key := fmt.Sprint([]string{"l", "r"}[side], x.random.IntN(3))
			value := ""
			if delete(both[side], key); x.random.IntN(3) > 0 {
				value = fmt.Sprint(i)
				if side == 0 && x.random.IntN(5) > 0 {
					value += fmt.Sprint("|r", x.random.IntN(3))
				}
				both[side][key] = value
			}
			x.send([]string{"lefts", "rights"}[side], key, value)
			for range x.random.IntN(6) {
				x.step()
			}
		}
		for x.step() {
		}
		want, got := map[string]string{}, map[string]string{}
		for key, l := range both[0] {
			foreign, _ := afterBar("", l)
			if r, ok := both[1][foreign]; ok {
				want[key] = l + "-" + r
			} else if isLeft {
				want[key] = l + "-null"
			}
		}
		for _, row := range x.left.stores[joined.Name].rows {
			got[string(row.Key)] = string(row.Value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}
