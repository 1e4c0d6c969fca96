package topology_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

func TestSessionWindows(t *testing.T) {
	const gap = 5 * 60_000
	for _, test := range []struct {
		name    string
		by      topology.Session
		records []sent
		want    string
	}{
		{
			// SessionWindowedKStreamImplTest.shouldAggregateSessionWindowed
			name:    "within the gap",
			by:      topology.Session{Gap: 500 * ms},
			records: []sent{{"1", "1", 10}, {"1", "2", 15}, {"1", "3", 600}, {"2", "1", 600}},
			want: `
				1[10,10] = 0+1 @10
				1[10,10] deleted @10
				1[10,15] = 0+0+1+2 @15
				1[600,600] = 0+3 @600
				2[600,600] = 0+1 @600`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldCreateSingleSessionWhenWithinGap
			name:    "the edge of the gap",
			by:      topology.Session{Gap: gap * ms},
			records: []sent{{"k", "1", 0}, {"k", "2", gap}, {"k", "3", 2*gap + 1}},
			want: `
				k[0,0] = 0+1 @0
				k[0,0] deleted @0
				k[0,300000] = 0+0+1+2 @300000
				k[600001,600001] = 0+3 @600001`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldMergeSessions, where the
			// store keeps closed sessions, which are merged there.
			name:    "two become one",
			by:      topology.Session{Gap: gap * ms, Grace: ms},
			records: []sent{{"mel", "first", 0}, {"mel", "second", gap + 1}, {"mel", "third", gap / 2}},
			want: `
				mel[0,0] = 0+first @0
				mel[300001,300001] = 0+second @300001
				mel[0,0] deleted @0
				mel[300001,300001] deleted @300001
				mel[0,300001] = 0+0+first+0+second+third @300001`,
		}, {
			name:    "what is closed is not merged",
			by:      topology.Session{Gap: 10 * ms},
			records: []sent{{"A", "a", 0}, {"B", "b", 15}, {"A", "c", 5}, {"A", "d", 12}},
			want: `
				A[0,0] = 0+a @0
				B[15,15] = 0+b @15
				A[5,5] = 0+c @5
				A[5,5] deleted @5
				A[5,12] = 0+0+c+d @12`,
		}, {
			name: "three become one, those beside it stay",
			by:   topology.Session{Gap: 10 * ms, Grace: 1000 * ms},
			records: []sent{
				{"k", "a", 100}, {"k", "b", 120}, {"k", "c", 140}, {"k", "d", 160}, {"k", "e", 130}, {"k", "f", 110}, {"other", "g", 110},
			},
			want: `
				k[100,100] = 0+a @100
				k[120,120] = 0+b @120
				k[140,140] = 0+c @140
				k[160,160] = 0+d @160
				k[120,120] deleted @120
				k[140,140] deleted @140
				k[120,140] = 0+0+b+0+c+e @140
				k[100,100] deleted @100
				k[120,140] deleted @140
				k[100,140] = 0+0+a+0+0+b+0+c+e+f @140
				other[110,110] = 0+g @110`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldUpdateSessionIfTheSameTime
			name:    "the same time",
			by:      topology.Session{Gap: gap * ms},
			records: []sent{{"mel", "first", 0}, {"mel", "second", 0}},
			want: `
				mel[0,0] = 0+first @0
				mel[0,0] = 0+0+first+second @0`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldImmediatelyForwardRemovedSessionsWhenMerging
			name:    "within a session: it goes and comes back",
			by:      topology.Session{Gap: gap * ms},
			records: []sent{{"a", "1", 0}, {"a", "2", 5}, {"a", "3", 3}},
			want: `
				a[0,0] = 0+1 @0
				a[0,0] deleted @0
				a[0,5] = 0+0+1+2 @5
				a[0,5] deleted @5
				a[0,5] = 0+0+0+1+2+3 @5`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldLogAndMeterWhenSkippingLateRecordWithZeroGrace
			name:    "late without grace",
			by:      topology.Session{Gap: 10 * ms},
			records: []sent{{"dummy", "d", 0}, {"OnTime1", "1", 0}, {"dummy", "d", 11}, {"Late1", "1", 0}, {"edge", "1", 1}},
			want: `
				dummy[0,0] = 0+d @0
				OnTime1[0,0] = 0+1 @0
				dummy[11,11] = 0+d @11
				edge[1,1] = 0+1 @1`,
		}, {
			// KStreamSessionWindowAggregateProcessorTest.shouldLogAndMeterWhenSkippingLateRecordWithNonzeroGrace
			name: "late with grace",
			by:   topology.Session{Gap: 10 * ms, Grace: ms},
			records: []sent{
				{"dummy", "d", 0}, {"OnTime1", "1", 0}, {"dummy", "d", 11}, {"OnTime2", "1", 0}, {"dummy", "d", 12}, {"Late1", "1", 0},
			},
			want: `
				dummy[0,0] = 0+d @0
				OnTime1[0,0] = 0+1 @0
				dummy[11,11] = 0+d @11
				OnTime2[0,0] = 0+1 @0
				dummy[11,11] deleted @11
				dummy[11,12] = 0+0+d+d @12`,
		}, {
			name:    "late, but within a session that is open",
			by:      topology.Session{Gap: 10 * ms},
			records: []sent{{"k", "1", 80}, {"k", "2", 90}, {"k", "3", 100}, {"k", "4", 75}, {"k", "5", 60}},
			want: `
				k[80,80] = 0+1 @80
				k[80,80] deleted @80
				k[80,90] = 0+0+1+2 @90
				k[80,90] deleted @90
				k[80,100] = 0+0+0+1+2+3 @100
				k[80,100] deleted @100
				k[75,100] = 0+0+0+0+1+2+3+4 @100`,
		},
	} {
		t.Run(test.name, func(t *testing.T) { compareLines(t, test.want, resultsOf(t, added(test.by), test.records)) })
	}
}

// SessionWindowedKStreamImplTest.shouldReduceWindowed, with a grace that keeps the
// first session open.
func TestSessionReduce(t *testing.T) {
	got := resultsOf(t, func(b *topology.Builder) {
		table := topology.Reduce(topology.Window(topology.Consume(b, letters), topology.Session{Gap: 500 * ms, Grace: 100 * ms}), traced,
			func(_ topology.Windowed[string], v, kept string) string { return kept + "+" + v })
		topology.Publish(table, traces)
	}, []sent{{"1", "1", 10}, {"1", "2", 15}, {"1", "3", 600}, {"2", "1", 600}, {"1", "4", 300}})
	compareLines(t, `
		1[10,10] = 1 @10
		1[10,10] deleted @10
		1[10,15] = 1+2 @15
		1[600,600] = 3 @600
		2[600,600] = 1 @600
		1[10,15] deleted @15
		1[600,600] deleted @600
		1[10,600] = 1+2+3+4 @600`, got)
}

// Functions are given the session that comes out.
func TestSessionKey(t *testing.T) {
	type key = topology.Windowed[string]
	var seen []key
	resultsOf(t, func(b *topology.Builder) {
		seen = nil
		rows := traced
		rows.Merge = func(k key, a, b string) string { seen = append(seen, k); return a + b }
		topology.Publish(topology.Aggregate(topology.Window(topology.Consume(b, letters), topology.Session{Gap: 10 * ms}), rows,
			func(k key, v, kept string) string { seen = append(seen, k); return kept + v }), traces)
	}, []sent{{"k", "1", 10}, {"k", "2", 15}})
	for _, k := range seen[1:3] {
		if k != within("k", 10, 15) {
			t.Errorf("it saw %v", k)
		}
	}
}
