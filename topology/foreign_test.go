package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// afterBar is the foreign key of "value|key"; there is none without a bar.
func afterBar(_, v string) (string, bool) {
	_, key, ok := strings.Cut(v, "|")
	return key, ok
}

// joinForeign joins lefts and rights, whose values are joined as in
// KTableKTableForeignKeyJoinIntegrationTest.
func joinForeign(by textJoiner) func(*topology.Builder) {
	return func(b *topology.Builder) {
		l, r := bothTables(b)
		topology.Publish(topology.JoinForeign(l, r, joined, afterBar, by), results)
	}
}

// The names are those of KTableKTableForeignKeyJoinIntegrationTest. Times, which
// it does not look at, follow from SubscriptionJoinProcessorSupplier and
// ForeignTableJoinProcessorSupplier.
func TestJoinForeign(t *testing.T) {
	for _, test := range []struct {
		name        string
		records     []string
		inner, left string // results of each record but those without any, by "; "
	}{
		{
			"doJoinFromLeftThenDeleteLeftEntity",
			[]string{
				"right R1 0 r1", "right R2 1 r2", "right R3 2 r3",
				"left A|r1 3 a", "left B|r2 4 b", "left C|r1 5 c", "left null 6 a",
			},
			"a:A|r1-R1@3; b:B|r2-R2@4; c:C|r1-R1@5; a:null@6",
			"a:A|r1-R1@3; b:B|r2-R2@4; c:C|r1-R1@5; a:null@6",
		},
		{
			"doJoinFromLeftThenUpdateFkThenRevertBack",
			[]string{"right R1 0 r1", "right R2 9 r2", "left A|r1 3 a", "left A|r2 5 a", "left A|r1 6 a"},
			"a:A|r1-R1@3; a:A|r2-R2@9; a:A|r1-R1@6",
			"a:A|r1-R1@3; a:A|r2-R2@9; a:A|r1-R1@6",
		},
		{
			"doJoinFromRightThenDeleteRightEntity",
			[]string{
				"left A|r1 0 a", "left B|r2 1 b", "left C|r1 2 c",
				"right R1 3 r1", "right R2 4 r2", "right R3 5 r3", "right null 6 r1",
			},
			"a:A|r1-R1@3 c:C|r1-R1@3; b:B|r2-R2@4; a:null@6 c:null@6",
			"a:A|r1-null@0; b:B|r2-null@1; c:C|r1-null@2; a:A|r1-R1@3 c:C|r1-R1@3; b:B|r2-R2@4; a:A|r1-null@6 c:C|r1-null@6",
		},
		{
			"shouldEmitTombstoneWhenDeletingNonJoiningRecords, shouldNotEmitTombstonesWhenDeletingNonExistingRecords",
			[]string{"left null 0 a", "left A|r1 1 a", "left null 2 a", "left null 3 a"},
			"a:null@2",
			"a:A|r1-null@1; a:null@2",
		},
		{
			"joinShouldProduceNullsWhenValueHasNonMatchingForeignKey",
			[]string{"left A|r1 0 a", "left A|r2 1 a", "left A|r3 2 a", "right R1 3 r1", "left A|r1 4 a", "left A|r2 5 a"},
			"a:null@1; a:null@2; a:A|r1-R1@4; a:null@5",
			"a:A|r1-null@0; a:A|r2-null@1; a:A|r3-null@2; a:A|r1-R1@4; a:A|r2-null@5",
		},
		{
			"shouldUnsubscribeOldForeignKeyIfLeftSideIsUpdated",
			[]string{"right R1 0 r1", "right R2 1 r2", "left A|r1 2 a", "left A|r2 3 a", "right S1 4 r1", "right S2 5 r2"},
			"a:A|r1-R1@2; a:A|r2-R2@3; a:A|r2-S2@5",
			"a:A|r1-R1@2; a:A|r2-R2@3; a:A|r2-S2@5",
		},
		{
			"shouldEmitRecordOnNullForeignKeyForLeftJoins, shouldEmitRecordWhenOldAndNewFkDiffer",
			[]string{"left A 0 a", "left A|r1 1 a", "left B 2 a", "right R1 3 r1", "left B|r1 4 a", "left C 5 a", "left null 6 a"},
			"a:null@2; a:B|r1-R1@4; a:null@5",
			"a:A-null@0; a:A|r1-null@1; a:B-null@2; a:B|r1-R1@4; a:C-null@5; a:null@6",
		},
		{
			// SubscriptionSendProcessorSupplierTest: a row that changes, its key does not.
			"an update with the same foreign key, with and without a right row, out of order",
			[]string{"left A|r1 0 a", "left B|r1 1 a", "right R1 7 r1", "left C|r1 3 a", "right R2 2 r1", "left D|r1 1 a", "right null 1 r1"},
			"a:B|r1-R1@7; a:C|r1-R1@7; a:C|r1-R2@2; a:D|r1-R2@2; a:null@1",
			"a:A|r1-null@0; a:B|r1-null@1; a:B|r1-R1@7; a:C|r1-R1@7; a:C|r1-R2@2; a:D|r1-R2@2; a:D|r1-null@1",
		},
		{
			"keys that begin with others, and an empty one",
			[]string{"left A|r 0 a", "left B|r1 0 b", "left C| 0 c", "left D|r 0 \x00", "right R 1 r", "right R1 2 r1", "left C 3 c"},
			"\x00:D|r-R@1 a:A|r-R@1; b:B|r1-R1@2; c:null@3",
			"a:A|r-null@0; b:B|r1-null@0; c:C|-null@0; \x00:D|r-null@0; \x00:D|r-R@1 a:A|r-R@1; b:B|r1-R1@2; c:C-null@3",
		},
	} {
		for _, kind := range []struct {
			name string
			by   textJoiner
			want string
		}{{"inner", innerText, test.inner}, {"left", leftText, test.left}} {
			for _, partitions := range []int{1, 4} {
				for _, restarts := range []bool{false, true} {
					t.Run(fmt.Sprint(test.name, " ", kind.name, " ", partitions, " ", restarts), func(t *testing.T) {
						d := topologytest.New(t, build(t, joinForeign(kind.by)), partitions)
						var got []string
						for _, r := range test.records {
							send(t, d, r)
							if s := received(d); s != "" {
								all := strings.Fields(s)
								slices.Sort(all) // several partitions have no order
								got = append(got, strings.Join(all, " "))
							}
							if restarts {
								d.Restart()
							}
						}
						if diff := cmp.Diff(strings.Split(kind.want, "; "), got); diff != "" {
							t.Errorf("results (-want +got):\n%s", diff)
						}
					})
				}
			}
		}
	}
}

// A right row's change reaches its left rows in the order of their keys.
func TestJoinForeignAnswersInOrder(t *testing.T) {
	d := drive(t, joinForeign(innerText))
	for _, r := range []string{"left A|r 0 b", "left A|r 0 a", "left A|r 0 aa", "left A|r1 0 c", "right R 1 r"} {
		send(t, d, r)
	}
	if got, want := received(d), "a:A|r-R@1 aa:A|r-R@1 b:A|r-R@1"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
}

// The result may be joined again with what it is made of (the test's rejoin), by
// another foreign key, or with itself.
func TestJoinsOfForeignJoins(t *testing.T) {
	t.Run("rejoin", func(t *testing.T) {
		play(t, func(b *topology.Builder) {
			l, r := bothTables(b)
			first := topology.JoinForeign(l, r, topology.Store[string, string]{Name: "first", Value: codec.String{}}, afterBar, innerText)
			topology.Publish(topology.JoinTables(first, l, joined, innerText), results)
		}, []moment{
			{"right R1 0 r1", ""},
			{"left A|r1 3 a", "a:A|r1-R1-A|r1@3"},
			{"left B|r1 4 a", "a:A|r1-R1-B|r1@4 a:B|r1-R1-B|r1@4"},
			{"right R2 5 r1", "a:B|r1-R2-B|r1@5"},
		})
	})
	t.Run("with itself", func(t *testing.T) {
		play(t, func(b *topology.Builder) {
			table := topology.Materialize(b, lefts, last)
			topology.Publish(topology.JoinForeign(table, table, joined, afterBar, leftText), results)
		}, []moment{
			{"left top 0 a", "a:top-null@0"},
			{"left B|a 1 b", "b:B|a-top@1"},
			{"left C|b 2 c", "c:C|b-B|a@2"},
			{"left TOP 3 a", "b:B|a-TOP@3 a:TOP-null@3"},
			{"left null 4 b", "c:C|b-null@4 b:null@4"},
			{"left D|d 5 d", "d:D|d-D|d@5"},
		})
	})
	t.Run("twice", func(t *testing.T) {
		play(t, func(b *topology.Builder) {
			l, r := bothTables(b)
			first := topology.JoinForeign(l, r, topology.Store[string, string]{Name: "first", Value: codec.String{}}, afterBar, innerText)
			behind := func(_, v string) (string, bool) { return v[strings.LastIndexByte(v, '-')+1:], true }
			topology.Publish(topology.JoinForeign(first, r, joined, behind, innerText), results)
		}, []moment{
			{"right r2 0 r1", ""}, {"right end 1 r2", ""}, {"left A|r1 2 a", "a:A|r1-r2-end@2"}, {"right END 3 r2", "a:A|r1-r2-END@3"},
		})
	})
}

// For all random changes the joined table is what a loop over both tables makes.
func TestForeignJoinIsTheJoinOfBothTables(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		for seed := range uint64(40) {
			random := rand.New(rand.NewPCG(seed, 3))
			isLeft := seed%2 == 1
			d := topologytest.New(t, build(t, joinForeign([]textJoiner{innerText, leftText}[seed%2])), partitions)
			both := [2]map[string]string{{}, {}}
			for i := range 100 {
				side := random.IntN(2)
				key := fmt.Sprint([]string{"l", "r"}[side], random.IntN(6))
				topic := []topology.Topic[string, string]{lefts, rights}[side]
				d.At(time.UnixMilli(random.Int64N(100)))
				value := fmt.Sprint(i)
				if side == 0 && random.IntN(5) > 0 {
					value += fmt.Sprint("|r", random.IntN(6))
				}
				if random.IntN(4) == 0 {
					topologytest.Delete(d, topic, key)
					delete(both[side], key)
				} else {
					topologytest.Send(d, topic, key, value)
					both[side][key] = value
				}
				if random.IntN(10) == 0 {
					d.Restart()
				}
			}
			want := map[string]string{}
			for key, l := range both[0] {
				foreign, _ := afterBar("", l)
				if r, ok := both[1][foreign]; ok {
					want[key] = l + "-" + r
				} else if isLeft {
					want[key] = l + "-null"
				}
			}
			if diff := cmp.Diff(want, topologytest.Rows(d, joined)); diff != "" {
				t.Fatalf("seed %d, %d partitions (-want +got):\n%s", seed, partitions, diff)
			}
		}
	}
}

// An answer to a row that has changed since is dropped: here answers come late, and
// out of the order of the changes, as they may from two partitions.
func TestLateAnswersAreDropped(t *testing.T) {
	topo := build(t, joinForeign(leftText))
	tasks := map[string]*storedTask{}
	for _, g := range topo.Groups() {
		tasks[g.Name] = orderedTask(t, g)
	}
	left, right := tasks["hello-joined"], tasks["hello-right-rows"]
	right.process(t, "rights", "r1", "R1", 0)
	right.process(t, "rights", "r2", "R2", 0)
	var answers []topology.Raw
	for i, value := range []string{"A|r1", "B|r2", "C|r1", "B|r2"} {
		for _, sent := range left.process(t, "lefts", "a", value, int64(i)).Records {
			for _, answer := range right.pass(t, sent.Raw).Records {
				answers = append(answers, answer.Raw)
			}
		}
	}
	if len(answers) != 4 {
		t.Fatalf("%d answers: %+v", len(answers), answers)
	}
	for _, test := range []struct {
		answer  int
		dropped bool
		result  string
	}{{2, true, ""}, {1, false, "B|r2-R2"}, {0, true, ""}, {3, false, "B|r2-R2"}} {
		w := left.pass(t, answers[test.answer])
		var got string
		for _, r := range w.Records {
			got += string(r.Value)
		}
		if w.Dropped != test.dropped || got != test.result {
			t.Errorf("answer %d: dropped %v, result %q, want %v, %q", test.answer, w.Dropped, got, test.dropped, test.result)
		}
	}
}

func TestForeignJoinMistakes(t *testing.T) {
	wantMistakes(t, map[string]func(*topology.Builder){
		"foreign key joined: the function is nil\njoin foreign joined: the function is nil": func(b *topology.Builder) {
			l, r := bothTables(b)
			topology.JoinForeign(l, r, joined, nil, textJoiner{})
		},
		"join foreign joined: there is no outer join of this kind: a right row without a left record has no result: use Left": func(b *topology.Builder) {
			joinForeign(outerText)(b)
		},
		"join foreign joined: its sides are not of one builder: is one of them a zero value?": func(b *topology.Builder) {
			l, _ := bothTables(b)
			topology.Publish(topology.JoinForeign(l, topology.Table[string, string]{}, joined, afterBar, innerText), results)
		},
		"join of table left-rows: store: it has no name": func(b *topology.Builder) {
			l, r := bothTables(b)
			topology.JoinForeign(l, r, topology.Store[string, string]{Value: codec.String{}}, afterBar, innerText)
		},
		`store "joined-subscriptions": rows of topic other and of subscriptions joined are kept in it`: func(b *topology.Builder) {
			topology.Materialize(b, other, topology.Store[string, hello]{Name: "joined-subscriptions"})
			joinForeign(innerText)(b)
		},
		`topic "hello-joined-response": it is published as string (codec.String) to topology_test.hello (codec.JSON[github.com/tidemark-dev/tidemark/topology_test.hello]) and as string (codec.String) to wire.Response (topology.responseCodec)`: func(b *topology.Builder) {
			topology.Publish(topology.Consume(b, other), topology.Topic[string, hello]{Name: "hello-joined-response"})
			joinForeign(innerText)(b)
		},
	})
}

func TestPictureOfAForeignJoin(t *testing.T) {
	topologytest.Golden(t, build(t, joinForeign(leftText)).String(), "testdata/foreign.golden")
}

// Who looks at the topics of a foreign-key join can read them.
func TestTopicsOfAForeignJoinAreText(t *testing.T) {
	topo := build(t, joinForeign(innerText))
	tasks := map[string]*storedTask{}
	for _, g := range topo.Groups() {
		tasks[g.Name] = orderedTask(t, g)
	}
	tasks["hello-right-rows"].process(t, "rights", "r", "R", 0)
	sent := tasks["hello-joined"].process(t, "lefts", "a", "A|r", 1).Records[0]
	answered := tasks["hello-right-rows"].pass(t, sent.Raw).Records[0]
	for _, test := range []struct {
		raw  topology.Raw
		want string
	}{
		{sent.Raw, `hello-joined-subscription r = {"do":"refresh","key":"a","row":"eef62a8b7fbe39c47cad0ce50263f52b"}`},
		{answered.Raw, `hello-joined-response a = {"right":"R","row":"eef62a8b7fbe39c47cad0ce50263f52b"}`},
	} {
		if got := topologytest.Line(t, topo, test.raw); got != test.want {
			t.Errorf("%s\nwant\n%s", got, test.want)
		}
	}
}

func TestForeignJoinDrops(t *testing.T) {
	for _, test := range []struct {
		by      textJoiner
		dropped bool
	}{{innerText, true}, {leftText, false}} {
		for _, g := range build(t, joinForeign(test.by)).Groups() {
			if g.Name != "hello-joined" {
				continue
			}
			if w := orderedTask(t, g).process(t, "lefts", "a", "A", 1); w.Dropped != test.dropped || len(w.Rows) != 1 {
				t.Errorf("a left row without a foreign key: dropped %v, rows %v", w.Dropped, w.Rows)
			}
		}
	}
}

// shouldEmitRecordWhenOldAndNewFkDiffer: a row that contains another key, or none,
// or is deleted, is subscribed to the old one no more.
func TestSubscriptionsEnd(t *testing.T) {
	for _, by := range []textJoiner{innerText, leftText} {
		topo := build(t, joinForeign(by))
		tasks := map[string]*storedTask{}
		for _, g := range topo.Groups() {
			tasks[g.Name] = orderedTask(t, g)
		}
		left, right := tasks["hello-joined"], tasks["hello-right-rows"]
		for i, test := range []struct{ value, want string }{
			{"A|r1", `["r1\x00\x00a"]`},
			{"B|r1", `["r1\x00\x00a"]`},
			{"B|r2", `["r2\x00\x00a"]`},
			{"B", `[]`},
			{"B|", `["\x00\x00a"]`},
			{"C", `[]`},
			{"C|\x00", `["\x00\xff\x00\x00a"]`},
			{"", `[]`},
			{"", `[]`},
		} {
			for _, sent := range left.process(t, "lefts", "a", test.value, int64(i)).Records {
				right.pass(t, sent.Raw)
			}
			keys := []string{}
			for _, row := range right.stores["joined-subscriptions"].rows {
				keys = append(keys, string(row.Key))
			}
			if got := fmt.Sprintf("%q", keys); got != test.want {
				t.Errorf("after %q: subscriptions %s, want %s", test.value, got, test.want)
			}
		}
	}
}

// A left row that expires takes the row of the result with it.
func TestForeignJoinOfRowsThatExpire(t *testing.T) {
	play(t, func(b *topology.Builder) {
		l := topology.Materialize(b, lefts, topology.Store[string, string]{Name: "left-rows", TTL: 10 * ms})
		r := topology.Materialize(b, rights, topology.Store[string, string]{Name: "right-rows"})
		topology.Publish(topology.JoinForeign(l, r, joined, afterBar, innerText), results)
	}, []moment{{"right R 0 r", ""}, {"left A|r 1 a", "a:A|r-R@1"}, {"left B 11 b", "a:null@11"}})
}

// Stores use what they have handed out again; what is sent does not change with it.
func TestAnswersKeepTheirBytes(t *testing.T) {
	topo := build(t, joinForeign(innerText))
	for _, g := range topo.Groups() {
		if g.Name != "hello-right-rows" {
			continue
		}
		right := orderedTask(t, g)
		for _, left := range []string{"a", "b"} {
			subscribed := topology.Raw{Key: []byte("r"), Value: []byte("\x01\x01" + left), Time: at(0), Position: topology.Position{Topic: "hello-joined-subscription"}}
			right.pass(t, subscribed)
		}
		var got []string
		for _, answered := range right.process(t, "rights", "r", "R", 1).Records {
			got = append(got, topologytest.Line(t, topo, answered.Raw))
		}
		want := []string{
			`hello-joined-response a = {"right":"R","row":""}`,
			`hello-joined-response b = {"right":"R","row":""}`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	}
}
