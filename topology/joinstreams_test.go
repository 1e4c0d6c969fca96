package topology_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func near(before, after, grace time.Duration) topology.Within {
	return topology.Within{Name: "pairs", Before: before, After: after, Grace: grace}
}

// joinBoth joins lefts and rights.
func joinBoth(w topology.Within, by textJoiner) func(*topology.Builder) {
	return func(b *topology.Builder) {
		topology.Publish(topology.JoinStreams(topology.Consume(b, lefts), topology.Consume(b, rights), w, by), results)
	}
}

// StreamStreamJoinIntegrationTest.testInner, testLeft, testOuter.
func TestJoinStreams(t *testing.T) {
	common := map[string]string{
		"right a 4": "A-a@4", "left B 5": "B-a@5", "right b 6": "A-b@6 B-b@6", "left C 9": "C-a@9 C-b@9",
		"right c 10": "A-c@10 B-c@10 C-c@10", "right d 14": "A-d@14 B-d@14 C-d@14", "left D 15": "D-a@15 D-b@15 D-c@15 D-d@15",
	}
	for _, test := range []struct {
		name    string
		by      textJoiner
		without map[string]string // a key
	}{
		{"inner", innerText, nil},
		{"left", leftText, map[string]string{"left E 16 -": "-:E-null@16"}},
		{"outer", outerText, map[string]string{"left E 16 -": "-:E-null@16", "right e 17 -": "-:null-e@17"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := map[string]string{}
			for _, m := range []map[string]string{common, test.without} {
				for k, v := range m {
					all[k] = v
				}
			}
			play(t, joinBoth(near(10*time.Second, 10*time.Second, 24*time.Hour), test.by), moments(t, inOrder, all))
		})
	}
}

// StreamStreamJoinIntegrationTest.testMultiInner, up to its sixth record.
func TestJoinOfJoinedStreams(t *testing.T) {
	w := near(10*time.Second, 10*time.Second, 24*time.Hour)
	again := w
	again.Name = "triples"
	play(t, func(b *topology.Builder) {
		right := topology.Consume(b, rights)
		pairs := topology.As(topology.JoinStreams(topology.Consume(b, lefts), right, w, innerText), codec.String{})
		topology.Publish(topology.JoinStreams(pairs, right, again, innerText), results)
	}, []moment{
		{"left A 3", ""},
		{"right a 4", "A-a-a@4"},
		{"left B 5", "B-a-a@5"},
		{"right b 6", "A-b-a@6 B-b-a@6 A-a-b@6 B-a-b@6 A-b-b@6 B-b-b@6"},
	})
}

// StreamStreamJoinIntegrationTest.testSelfJoin. Pairs of one record come in the
// order of two sides, not of Kafka Streams' single-store optimization.
func TestJoinStreamWithItself(t *testing.T) {
	play(t, func(b *topology.Builder) {
		all := topology.Consume(b, lefts)
		topology.Publish(topology.JoinStreams(all, all, near(10*time.Second, 10*time.Second, 24*time.Hour), innerText), results)
	}, []moment{
		{"left null 1", ""},
		{"left A 2", "A-A@2"},
		{"left B 3", "B-A@3 A-B@3 B-B@3"},
		{"left null 4", ""},
		{"left C 5", "C-A@5 C-B@5 A-C@5 B-C@5 C-C@5"},
		{"left null 6", ""},
		{"left D 7", "D-A@7 D-B@7 D-C@7 A-D@7 B-D@7 C-D@7 D-D@7"},
	})
}

// Single is a moment of several records: each but the last has no result.
func after(result string, records ...string) (ms []moment) {
	for _, r := range records[:len(records)-1] {
		ms = append(ms, moment{r, ""})
	}
	return append(ms, moment{records[len(records)-1], result})
}

func TestUnmatchedRecords(t *testing.T) {
	hundred := near(100*ms, 100*ms, 0)
	for _, test := range []struct {
		name    string // of the test in Kafka Streams
		within  topology.Within
		by      textJoiner
		moments []moment
	}{
		{"KStreamKStreamOuterJoinTest.testOuterJoinDuplicates", near(100*ms, 100*ms, 10*ms), outerText, slices.Concat(
			after("1:null-a1@0 1:null-a1-0@0 0:A0-null@0 0:A0-0-null@0",
				"left A0 0 0", "left A0-0 0 0", "right a1 0 1", "right a1-0 0 1", "right a0 111 1"),
			after("2:A2-a2@201 2:A2-0-a2@201", "left A2 200 2", "left A2-0 200 2", "right a2 201 2"),
			after("2:A2-a2-0@201 2:A2-0-a2-0@201", "right a2-0 201 2"),
			after("1:null-a0@111", "right a3 315 3"),
		)},
		{"KStreamKStreamLeftJoinTest.testLeftJoinDuplicates", near(100*ms, 100*ms, 10*ms), leftText, slices.Concat(
			after("0:A0-null@0 0:A0-0-null@0", "left A0 0 0", "left A0-0 0 0", "right a0 111 1"),
			after("2:A2-a2@1001 2:A2-0-a2@1001", "right dummy 500 2", "left A2 1000 2", "left A2-0 1000 2", "right a2 1001 2"),
			after("", "right a3 315 3"),
		)},
		{"testLeftExpiredNonJoinedRecordsAreEmittedByTheLeftProcessor", hundred, outerText, slices.Concat(
			after("1:A1-a1@3", "left A0 1 0", "left A1 2 1", "left A0-0 3 0", "right a1 3 1"),
			after("0:A0-null@1 0:A0-0-null@3", "left dummy 401 2"),
			after("2:dummy-dummy@401", "right dummy 401 2"),
		)},
		{"testLeftExpiredNonJoinedRecordsAreEmittedByTheRightProcessor", hundred, outerText, slices.Concat(
			after("1:A1-a1@3", "left A0 1 0", "left A1 2 1", "left A0-0 3 0", "right a1 3 1"),
			after("0:A0-null@1 0:A0-0-null@3", "right dummy 401 2"),
			after("2:dummy-dummy@402", "left dummy 402 2"),
		)},
		{"testRightExpiredNonJoinedRecordsAreEmittedByTheLeftProcessor", hundred, outerText, slices.Concat(
			after("1:a1-A1@3", "right A0 1 0", "right A1 2 1", "right A0-0 3 0", "left a1 3 1"),
			after("0:null-A0@1 0:null-A0-0@3", "left dummy 401 2"),
			after("2:dummy-dummy@402", "right dummy 402 2"),
		)},
		{"testRightNonJoinedRecordsAreNeverEmittedByTheLeftProcessor", hundred, leftText, slices.Concat(
			after("1:a1-A1@3", "right A0 1 0", "right A1 2 1", "right A0-0 3 0", "left a1 3 1"),
			after("2:dummy-dummy@402", "left dummy 401 2", "right dummy 402 2"),
		)},
		{
			"KStreamKStreamOuterJoinTest.testOrdering", hundred, outerText,
			after("0:A0-null@0 1:A1-a1@110", "left A0 0 0", "left A1 100 1", "right a1 110 1"),
		},
		{
			"KStreamKStreamOuterJoinTest.testGracePeriod", near(100*ms, 100*ms, 10*ms), outerText,
			after("1:null-a1@0 0:A0-null@0", "left A0 0 0", "right a1 0 1", "right a0 101 0", "left A1 101 1", "right dummy 112 0"),
		},
		{
			"KStreamKStreamLeftJoinTest.testGracePeriod", near(100*ms, 100*ms, 10*ms), leftText,
			after("0:A0-null@0 1:A1-null@0", "left A0 0 0", "left A1 0 1", "right a0 101 0", "right a1 101 1", "right dummy 1201 0"),
		},
		{"KStreamKStreamOuterJoinTest.shouldNotEmitLeftJoinResultForAsymmetricBeforeWindow", near(0, 100*ms, 0), outerText, []moment{
			{"left A0 0 0", ""},
			{"left A1 1 1", ""},
			{"right a0 100 0", "0:A0-a0@100"},
			{"right a1 102 1", "1:A1-null@1"},
			{"right a2 103 2", "1:null-a1@102"},
			{"left A2 103 2", "2:A2-a2@103"},
		}},
		// With the correction of KAFKA-15417: A0 comes when its window is over, at 1.
		{"KStreamKStreamOuterJoinTest.shouldNotEmitLeftJoinResultForAsymmetricAfterWindow", near(100*ms, 0, 0), outerText, []moment{
			{"left A0 0 0", ""},
			{"left A1 1 1", "0:A0-null@0"},
			{"right a1 1 1", "1:A1-a1@1"},
			{"right a2 101 2", ""},
			{"right a3 101 3", ""},
			{"left A2 201 2", "2:A2-a2@201"},
			{"left x 202 4", "3:null-a3@101"},
		}},
		{"KStreamKStreamLeftJoinTest.testLeftJoinedRecordsWithZeroAfterAreEmitted", near(100*ms, 0, 0), leftText, []moment{
			{"left A0 1000 0", ""},
			{"left A1 1001 1", "0:A0-null@1000"},
			{"left A2 1002 2", "1:A1-null@1001"},
			{"left A3 1003 3", "2:A2-null@1002"},
			{"right a0 999 0", "0:A0-a0@1000"},
			{"right a1 999 1", "1:A1-a1@1001"},
			{"right a2 999 2", "2:A2-a2@1002"},
			{"right a3 999 3", "3:A3-a3@1003"},
			{"right b0 1000 0", "0:A0-b0@1000"},
			{"right b1 1000 1", "1:A1-b1@1001"},
			{"right b2 1000 2", "2:A2-b2@1002"},
			{"right b3 1000 3", "3:A3-b3@1003"},
			{"right c0 1001 0", ""},
			{"right c1 1001 1", "1:A1-c1@1001"},
			{"right c2 1001 2", "2:A2-c2@1002"},
			{"right c3 1001 3", "3:A3-c3@1003"},
			{"right d0 1002 0", ""},
			{"right d1 1002 1", ""},
			{"right d2 1002 2", "2:A2-d2@1002"},
			{"right d3 1002 3", "3:A3-d3@1003"},
			{"right e0 1003 0", ""},
			{"right e1 1003 1", ""},
			{"right e2 1003 2", ""},
			{"right e3 1003 3", "3:A3-e3@1003"},
			{"right f0 1100 0", ""},
			{"right f1 1100 1", ""},
			{"right f2 1100 2", ""},
			{"right f3 1100 3", ""},
		}},
		{"KStreamKStreamOuterJoinTest.runOuterJoin", hundred, outerText, slices.Concat(
			[]moment{{"left A0 0 0", ""}, {"left A1 0 1", ""}, {"right a0 0 0", "0:A0-a0@0"}, {"right a1 0 1", "1:A1-a1@0"}},
			[]moment{{"left B0 0 0", "0:B0-a0@0"}, {"left B1 0 1", "1:B1-a1@0"}, {"left B2 0 2", ""}},
			[]moment{{"right b0 0 0", "0:A0-b0@0 0:B0-b0@0"}, {"right b1 0 1", "1:A1-b1@0 1:B1-b1@0"}, {"right b2 0 2", "2:B2-b2@0"}, {"right b3 0 3", ""}},
			[]moment{{"left C0 0 0", "0:C0-a0@0 0:C0-b0@0"}, {"left C1 0 1", "1:C1-a1@0 1:C1-b1@0"}, {"left C2 0 2", "2:C2-b2@0"}, {"left C3 0 3", "3:C3-b3@0"}},
			[]moment{{"left dummy 400 0", ""}},
		)},
		{"KStreamKStreamOuterJoinTest.testWindowing", hundred, outerText, slices.Concat(
			[]moment{{"left A0 0 0", ""}, {"left A1 0 1", ""}},
			[]moment{{"right a0 0 0", "0:A0-a0@0"}, {"right a1 0 1", "1:A1-a1@0"}, {"right a2 0 2", ""}, {"right a3 0 3", ""}},
			upperBound("2:null-a2@0 3:null-a3@0"), lowerBound(),
		)},
		{"KStreamKStreamLeftJoinTest.testWindowing", hundred, leftText, slices.Concat(
			[]moment{{"left A0 0 0", ""}, {"left A1 0 1", ""}},
			[]moment{{"right a0 0 0", "0:A0-a0@0"}, {"right a1 0 1", "1:A1-a1@0"}, {"right a2 0 2", ""}, {"right a3 0 3", ""}},
			upperBound(""), lowerBound(),
		)},
	} {
		t.Run(test.name, func(t *testing.T) { play(t, joinBoth(test.within, test.by), test.moments) })
	}
}

// four are records of four keys, with a result each.
func four(record string, at int, results ...string) (ms []moment) {
	side, value, _ := strings.Cut(record, " ")
	for i, r := range results {
		ms = append(ms, moment{fmt.Sprintf("%s %s%d %d %d", side, value, i, at, i), r})
	}
	return ms
}

// testUpperWindowBound of KStreamKStreamOuterJoinTest and KStreamKStreamLeftJoinTest.
func upperBound(unmatched string) []moment {
	return slices.Concat(
		[]moment{{"right b0 1000 0", unmatched}, {"right b1 1001 1", ""}, {"right b2 1002 2", ""}, {"right b3 1003 3", ""}},
		four("left B", 1100, "0:B0-b0@1100", "1:B1-b1@1100", "2:B2-b2@1100", "3:B3-b3@1100"),
		four("left C", 1101, "", "1:C1-b1@1101", "2:C2-b2@1101", "3:C3-b3@1101"),
		four("left D", 1102, "", "", "2:D2-b2@1102", "3:D3-b3@1102"),
		four("left E", 1103, "", "", "", "3:E3-b3@1103"),
		four("left F", 1104, "", "", "", ""),
		[]moment{{"left dummy 1405 0", "0:C0-null@1101 0:D0-null@1102 1:D1-null@1102 0:E0-null@1103 1:E1-null@1103 2:E2-null@1103 " +
			"0:F0-null@1104 1:F1-null@1104 2:F2-null@1104 3:F3-null@1104"}},
	)
}

// testLowerWindowBound of the same: all of it is late for the left side, not for
// the right one, whose time is 1003.
func lowerBound() []moment {
	return slices.Concat(
		four("left G", 899, "0:G0-null@899", "1:G1-null@899", "2:G2-null@899", "3:G3-null@899"),
		four("left H", 900, "0:H0-b0@1000", "1:H1-null@900", "2:H2-null@900", "3:H3-null@900"),
		four("left I", 901, "0:I0-b0@1000", "1:I1-b1@1001", "2:I2-null@901", "3:I3-null@901"),
		four("left J", 902, "0:J0-b0@1000", "1:J1-b1@1001", "2:J2-b2@1002", "3:J3-null@902"),
		four("left K", 903, "0:K0-b0@1000", "1:K1-b1@1001", "2:K2-b2@1002", "3:K3-b3@1003"),
		[]moment{{"left dummy 1103 0", "0:dummy-null@1103"}},
	)
}

func TestLateRecordsOfJoinedStreams(t *testing.T) {
	for _, test := range []struct {
		name    string
		within  topology.Within
		by      textJoiner
		moments []moment
	}{
		{"in grace, no match comes when grace is over", near(10*ms, 10*ms, 20*ms), leftText, []moment{
			{"right x 50 other", ""}, {"left A 30", ""}, {"right y 60 other", ""}, {"right z 61 other", "A-null@30"},
		}},
		{"in grace, a match comes in time", near(10*ms, 10*ms, 20*ms), leftText, []moment{
			{"right x 50 other", ""}, {"left A 30", ""}, {"right a 40", "A-a@40"}, {"right z 99 other", ""},
		}},
		// As in Kafka Streams it may yet meet one that is even later, while it is kept.
		{"after grace, no match comes at once", near(10*ms, 10*ms, 20*ms), outerText, []moment{
			{"left x 61 other", ""}, {"left A 30", "A-null@30"}, {"right b 30", "A-b@30"}, {"right c 19", "null-c@19"},
		}},
		// A side's rows expire by its own time: what is late for one side meets what the other still has.
		{"after grace, a match", near(10*ms, 10*ms, 0), innerText, []moment{
			{"left A 30", ""}, {"left x 49 other", ""}, {"right a 30", "A-a@30"}, {"left y 50 other", ""}, {"right b 31", ""},
		}},
		{"the edges", near(10*ms, 5*ms, 0), innerText, []moment{
			{"left A 30", ""}, {"right a 19", ""}, {"right b 20", "A-b@30"}, {"right c 35", "A-c@35"}, {"right d 36", ""},
		}},
		{"wholly after", near(-5*ms, 10*ms, 0), leftText, []moment{
			{"left A 30", ""},
			{"right a 34", ""},
			{"right b 35", "A-b@35"},
			{"left B 38", ""},
			{"right c 40", "A-c@40"},
			{"right d 41", ""},
			{"right e 48", "B-e@48"},
			{"right f 49", ""},
		}},
		{"wholly before", near(10*ms, -5*ms, 0), outerText, []moment{
			{"right a 20", ""},
			{"left A 24", "A-null@24"},
			{"left B 25", "B-a@25"},
			{"right b 31", ""},
			{"left C 36", "C-b@36"},
			{"right c 40", ""},
			{"left D 51", "null-c@40 D-null@51"},
			{"right d 52", ""},
		}},
		{"no width", near(0, 0, 0), innerText, []moment{
			{"left A 1", ""}, {"right a 1", "A-a@1"}, {"left B 1", "B-a@1"}, {"right b 2", ""}, {"left C 2", "C-b@2"}, {"left D 1", ""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) { play(t, joinBoth(test.within, test.by), test.moments) })
	}
}

// A record that is too late to be kept, and has no result, is dropped.
func TestJoinStreamsDrops(t *testing.T) {
	task := orderedTask(t, build(t, joinBoth(near(10*ms, 10*ms, 0), leftText)).Groups()[0])
	for _, test := range []struct {
		topic, key, value string
		at                int64
		dropped           bool
	}{
		{"lefts", "k", "A", 100, false},
		{"lefts", "k", "B", 80, false},
		{"rights", "k", "a", 100, false},
		{"rights", "k", "b", 79, true},
		{"rights", "", "c", 100, true},
		{"lefts", "", "C", 100, false},
		{"lefts", "k", "", 100, true},
	} {
		if w := task.process(t, test.topic, test.key, test.value, test.at); w.Dropped != test.dropped {
			t.Errorf("%+v: dropped %v", test, w.Dropped)
		}
	}
}

func TestBuffersOfJoinedStreamsExpire(t *testing.T) {
	topo := build(t, joinBoth(near(10*ms, 10*ms, 5*ms), outerText))
	task := orderedTask(t, topo.Groups()[0])
	for i := range int64(2000) {
		task.process(t, []string{"lefts", "rights"}[i%2], fmt.Sprint("a\x00", i%7), "x", i*3)
		if n := len(task.stores["pairs-left"].rows) + len(task.stores["pairs-right"].rows); n > 2*(25/6+1) {
			t.Fatalf("%d rows after %d records", n, i)
		}
		if n := len(task.stores["pairs-unmatched"].rows); n > 6 {
			t.Fatalf("%d unmatched rows after %d records", n, i)
		}
	}
	for name, s := range task.stores {
		if len(s.rows) == 0 {
			t.Errorf("store %s has no row at all", name)
		}
		for _, row := range s.rows {
			if got := string(s.state.PartitionKey(row.Key)); !strings.HasPrefix(got, "a\x00") || len(got) != 3 {
				t.Errorf("store %s: partition key %q of row %q", name, got, row.Key)
			}
		}
	}
}

// A joiner that fails for a record that has met none is not the fault of the
// record that came in between.
func TestUnmatchedRecordThatFails(t *testing.T) {
	topo := build(t, joinBoth(near(10*ms, 10*ms, 0), topology.Left(func(_, l string, r *string) string { return l + *r })))
	task := orderedTask(t, topo.Groups()[0])
	task.process(t, "lefts", "k", "A", 1)
	_, err := task.Process(topology.Raw{Key: []byte("x"), Value: []byte("b"), Time: time.UnixMilli(12), Position: topology.Position{Topic: "rights"}})
	want := "join streams pairs: a record without a match: panic at joinstreams_test.go:LINE: runtime error: invalid memory address or nil pointer dereference"
	if err == nil || line.ReplaceAllString(err.Error(), "go:LINE") != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

var line = regexp.MustCompile(`go:\d+`)

func TestJoinStreamsMistakes(t *testing.T) {
	declare := func(w topology.Within) func(*topology.Builder) { return joinBoth(w, innerText) }
	wantMistakes(t, map[string]func(*topology.Builder){
		`join streams pairs: Before is 1s and After is -2s: the window ends before it begins`:                                                                                                            declare(near(time.Second, -2*time.Second, 0)),
		"join streams pairs: Before is 1µs: Kafka's times are whole milliseconds\njoin streams pairs: After is 1ns: Kafka's times are whole milliseconds\njoin streams pairs: Grace is -1s, less than 0": declare(near(time.Microsecond, 1, -time.Second)),
		`join streams a/b: store "a/b-left": a name is made of letters, digits, '.', '_' and '-', not of '/'` + "\n" +
			`join streams a/b: store "a/b-right": a name is made of letters, digits, '.', '_' and '-', not of '/'`: declare(topology.Within{Name: "a/b"}),
		`join streams: Within has no Name`:        declare(topology.Within{}),
		`join streams pairs: the function is nil`: joinBoth(near(0, 0, 0), textJoiner{}),
		`join streams pairs: no codec for the values of try 1 of type int64: name it by As`: func(b *topology.Builder) {
			parsed := topology.Try(topology.Consume(b, lefts), parse)
			by := topology.Inner(func(_ string, l int64, r string) string { return r })
			topology.Publish(topology.As(topology.JoinStreams(parsed, topology.Consume(b, rights), near(0, 0, 0), by), codec.String{}), results)
		},
		`join streams pairs: a step before it has changed keys, so that records of one key lie in several partitions: put Repartition between`: func(b *topology.Builder) {
			moved := topology.SelectKey(topology.Consume(b, rights), func(_, v string) string { return v })
			topology.Publish(topology.JoinStreams(topology.Consume(b, lefts), moved, near(0, 0, 0), innerText), results)
		},
		`store "pairs-left": rows of join streams pairs and of join streams pairs are kept in it` + "\n" +
			`store "pairs-right": rows of join streams pairs and of join streams pairs are kept in it`: func(b *topology.Builder) {
			declare(near(0, 0, 0))(b)
			declare(near(0, 0, 0))(b)
		},
	})
}

func TestPictureOfJoinedStreams(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		numbers := topology.As(topology.Try(topology.Consume(b, rights), parse), codec.Int64{})
		by := topology.Left(func(_, l string, n *int64) string { return fmt.Sprint(l, n != nil) })
		topology.Publish(topology.JoinStreams(topology.Consume(b, lefts), numbers, near(time.Second, time.Second, 0), by), results)
	})
	topologytest.Golden(t, topo.String(), "testdata/joinstreams.golden")
}
