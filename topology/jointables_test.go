package topology_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

type textJoiner = topology.Joiner[string, string, string, string]

func bothTables(b *topology.Builder) (l, r topology.Table[string, string]) {
	return topology.Materialize(b, lefts, topology.Store[string, string]{Name: "left-rows"}),
		topology.Materialize(b, rights, topology.Store[string, string]{Name: "right-rows"})
}

// TableTableJoinIntegrationTest.testInner, testLeft, testOuter.
func TestJoinTables(t *testing.T) {
	for _, test := range []struct {
		name    string
		by      textJoiner
		results map[string]string
	}{
		{"inner", innerText, map[string]string{
			"right a 4": "A-a@4", "left B 5": "B-a@5", "right b 6": "B-b@6", "left null 7": "null@7",
			"right c 10": "C-c@10", "right null 11": "null@11", "left D 6": "D-d@7", "left null 2": "null@7",
			"left E 15": "E-e@15", "left null 10": "null@14", "right f 3": "F-f@4",
		}},
		{"left", leftText, map[string]string{
			"left A 3": "A-null@3", "right a 4": "A-a@4", "left B 5": "B-a@5", "right b 6": "B-b@6", "left null 7": "null@7",
			"left C 9": "C-null@9", "right c 10": "C-c@10", "right null 11": "C-null@11", "left null 12": "null@12",
			"left D 6": "D-d@7", "left null 2": "null@7", "left E 15": "E-e@15", "left null 10": "null@14",
			"left F 4": "F-null@4", "right f 3": "F-f@4",
		}},
		{"outer", outerText, map[string]string{
			"left A 3": "A-null@3", "right a 4": "A-a@4", "left B 5": "B-a@5", "right b 6": "B-b@6", "left null 7": "null-b@7",
			"right null 8": "null@8", "left C 9": "C-null@9", "right c 10": "C-c@10", "right null 11": "C-null@11",
			"left null 12": "null@12", "right d 7": "null-d@7", "left D 6": "D-d@7", "left null 2": "null-d@7",
			"right null 3": "null@3", "right e 14": "null-e@14", "left E 15": "E-e@15", "left null 10": "null-e@14",
			"right null 9": "null@9", "left F 4": "F-null@4", "right f 3": "F-f@4",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(b *topology.Builder) {
				l, r := bothTables(b)
				topology.Publish(topology.JoinTables(l, r, joined, test.by), results)
			}, moments(t, disorder, test.results))
		})
	}
}

// TableTableJoinIntegrationTest.testInnerInner … testOuterOuter: the right table
// is joined twice, so that its changes come on two ways.
func TestJoinsOfJoinedTables(t *testing.T) {
	common := map[string]string{
		"right a 4": "A-a-a@4 A-a-a@4", "left B 5": "B-a-a@5", "right b 6": "B-b-b@6 B-b-b@6",
		"right c 10": "C-c-c@10 C-c-c@10", "left D 15": "D-d-d@15",
	}
	for _, test := range []struct {
		name          string
		first, second textJoiner
		results       map[string]string
	}{
		// As there, the deletion at 11 is lost: a row of both tables is gone before either join looks.
		{"inner, inner", innerText, innerText, map[string]string{"left null 7": "null@7"}},
		{"inner, left", innerText, leftText, map[string]string{"left null 7": "null@7", "right null 11": "null@11"}},
		{"inner, outer", innerText, outerText, map[string]string{
			"left null 7": "null-b@7", "right null 8": "null@8", "right null 11": "null@11 null@11", "right d 14": "null-d@14",
		}},
		{"left, inner", leftText, innerText, map[string]string{"left null 7": "null@7", "right null 11": "null@11"}},
		{"left, left", leftText, leftText, map[string]string{
			"left A 3": "A-null-null@3", "left null 7": "null@7", "left C 9": "C-null-null@9",
			"right null 11": "C-null-null@11 C-null-null@11", "left null 12": "null@12",
		}},
		{"left, outer", leftText, outerText, map[string]string{
			"left A 3": "A-null-null@3", "left null 7": "null-b@7", "right null 8": "null@8", "left C 9": "C-null-null@9",
			"right null 11": "C-null-null@11 C-null-null@11", "left null 12": "null@12", "right d 14": "null-d@14",
		}},
		{"outer, inner", outerText, innerText, map[string]string{
			"left null 7": "null-b-b@7", "right null 11": "null@11", "right d 14": "null-d-d@14 null-d-d@14",
		}},
		{"outer, left", outerText, leftText, map[string]string{
			"left A 3": "A-null-null@3", "left null 7": "null-b-b@7", "right null 8": "null@8", "left C 9": "C-null-null@9",
			"right null 11": "C-null-null@11 C-null-null@11", "left null 12": "null@12", "right d 14": "null-d-d@14 null-d-d@14",
		}},
		{"outer, outer", outerText, outerText, map[string]string{
			"left A 3": "A-null-null@3", "left null 7": "null-b-b@7", "right null 8": "null@8 null@8", "left C 9": "C-null-null@9",
			"right null 11": "C-null-null@11 C-null-null@11", "left null 12": "null@12", "right d 14": "null-d-d@14 null-d-d@14",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := maps.Clone(common)
			maps.Copy(all, test.results)
			play(t, func(b *topology.Builder) {
				l, r := bothTables(b)
				first := topology.JoinTables(l, r, topology.Store[string, string]{Name: "first", Value: codec.String{}}, test.first)
				topology.Publish(topology.JoinTables(first, r, joined, test.second), results)
			}, moments(t, inOrder[:15], all))
		})
	}
}

// A table joined with itself has two results for each change, as in Kafka Streams.
func TestJoinTableWithItself(t *testing.T) {
	play(t, func(b *topology.Builder) {
		table := topology.Materialize(b, lefts, last)
		topology.Publish(topology.JoinTables(table, table, joined, leftText), results)
	}, []moment{{"left A 1", "A-A@1 A-A@1"}, {"left B 2", "B-B@2 B-B@2"}, {"left null 3", "null@3"}, {"left null 4", ""}})
}

// What a row was is known downstream of a join, and what it made nil is deleted.
func TestChangesOfJoinedTables(t *testing.T) {
	value := func(_, l, r string) *string {
		if l == r {
			return nil
		}
		both := l + r
		return &both
	}
	play(t, func(b *topology.Builder) {
		l, r := bothTables(b)
		table := topology.JoinTables(l, r, topology.Store[string, *string]{Name: "joined", Value: codec.JSON[*string]{}}, topology.Inner(value))
		changes := topology.MapValues(topology.ToStream(table), func(_ string, c topology.Change[*string]) string {
			line := "-"
			if c.Old != nil {
				line = **c.Old + "-"
			}
			if c.New != nil {
				line += **c.New
			}
			return line
		})
		topology.Publish(changes, results)
	}, []moment{
		{"left A 1", ""}, {"right a 2", "-Aa@2"}, {"right b 3", "Aa-Ab@3"}, {"right A 4", "Ab-@4"}, {"left B 5", "-BA@5"}, {"left null 6", "BA-@6"},
	})
}

// For all random changes the joined table is what a loop over both tables makes.
func TestJoinedTableIsTheJoinOfBothTables(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		for seed := range uint64(40) {
			random := rand.New(rand.NewPCG(seed, 0))
			kind := []textJoiner{innerText, leftText, outerText}[seed%3]
			topo := build(t, func(b *topology.Builder) {
				l, r := bothTables(b)
				topology.JoinTables(l, r, joined, kind)
			})
			d := topologytest.New(t, topo, partitions)
			both := [2]map[string]string{{}, {}}
			for range 60 {
				side, key := random.IntN(2), fmt.Sprint(random.IntN(8))
				topic := []topology.Topic[string, string]{lefts, rights}[side]
				d.At(time.UnixMilli(random.Int64N(100)))
				if random.IntN(3) == 0 {
					topologytest.Delete(d, topic, key)
					delete(both[side], key)
				} else {
					both[side][key] = fmt.Sprint(random.IntN(100))
					topologytest.Send(d, topic, key, both[side][key])
				}
				if random.IntN(10) == 0 {
					d.Restart()
				}
			}
			want := map[string]string{}
			for key := range 8 {
				key := fmt.Sprint(key)
				l, lok := both[0][key]
				r, rok := both[1][key]
				switch {
				case lok && rok:
					want[key] = l + "-" + r
				case lok && seed%3 > 0:
					want[key] = l + "-null"
				case rok && seed%3 == 2:
					want[key] = "null-" + r
				}
			}
			if diff := cmp.Diff(want, topologytest.Rows(d, joined)); diff != "" {
				t.Fatalf("seed %d, %d partitions (-want +got):\n%s", seed, partitions, diff)
			}
		}
	}
}

func TestJoinTablesMistakes(t *testing.T) {
	wantMistakes(t, map[string]func(*topology.Builder){
		`join table joined: the function is nil`: func(b *topology.Builder) {
			l, r := bothTables(b)
			topology.JoinTables(l, r, joined, textJoiner{})
		},
		`store "joined": no codec for its values of type int`: func(b *topology.Builder) {
			l, r := bothTables(b)
			topology.JoinTables(l, r, topology.Store[string, int]{Name: "joined"}, topology.Inner(func(_, _, _ string) int { return 0 }))
		},
		`join table joined: keys of table left-rows are encoded by codec.String, those of table right-rows by codec.JSON[string]: equal ones would not meet`: func(b *topology.Builder) {
			from := rights
			from.Key = codec.JSON[string]{}
			l := topology.Materialize(b, lefts, topology.Store[string, string]{Name: "left-rows"})
			topology.JoinTables(l, topology.Materialize(b, from, topology.Store[string, string]{Name: "right-rows"}), joined, innerText)
		},
		`join table joined: its sides are not of one builder: is one of them a zero value?`: func(b *topology.Builder) {
			l, _ := bothTables(b)
			topology.JoinTables(l, topology.Table[string, string]{}, joined, innerText)
		},
		`store "left-rows": two tables are kept in it, of topic lefts and of table left-rows`: func(b *topology.Builder) {
			l, r := bothTables(b)
			topology.JoinTables(l, r, topology.Store[string, string]{Name: "left-rows"}, innerText)
		},
	})
}

func TestPictureOfJoinedTables(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		l, r := bothTables(b)
		topology.JoinTables(l, r, joined, outerText)
	})
	topologytest.Golden(t, topo.String(), "testdata/jointables.golden")
}

// Rows of either side, and of the result, may expire.
func TestJoinTablesOfRowsThatExpire(t *testing.T) {
	play(t, func(b *topology.Builder) {
		l := topology.Materialize(b, lefts, topology.Store[string, string]{Name: "left-rows", TTL: 10 * ms})
		r := topology.Materialize(b, rights, topology.Store[string, string]{Name: "right-rows"})
		rows := joined
		rows.TTL = 30 * ms
		topology.Publish(topology.JoinTables(l, r, rows, outerText), results)
	}, []moment{
		{"left A 1", "A-null@1"},
		{"right a 2", "A-a@2"},
		{"right b 11 other", "null-a@11 other:null-b@11"},
		{"right x 40 x", "x:null-x@40"},
		{"right x 41 x", "null@41 other:null@41 x:null-x@41"},
	})
}
