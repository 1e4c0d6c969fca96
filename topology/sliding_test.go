package topology_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// window returns the window of a line, without what became of it.
func window(line string) string { return line[:strings.Index(line, " ")] }

func windowStart(line string) (start int) {
	for _, c := range line[strings.Index(line, "[")+1:] {
		if c < '0' || c > '9' {
			break
		}
		start = start*10 + int(c-'0')
	}
	return start
}

// byWindow sorts lines by key and start; those of one window stay as they are.
func byWindow(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int {
		return cmp.Or(cmp.Compare(a[:1], b[:1]), cmp.Compare(windowStart(a), windowStart(b)))
	})
	return lines
}

// lastOfWindow returns the last line of each window.
func lastOfWindow(lines []string) (last []string) {
	for _, line := range byWindow(lines) {
		if n := len(last); n > 0 && window(last[n-1]) == window(line) {
			last = last[:n-1]
		}
		last = append(last, line)
	}
	return last
}

func TestSlidingWindows(t *testing.T) {
	large := []sent{{"E", "1", 0}, {"E", "3", 5}, {"E", "4", 6}, {"E", "2", 3}, {"E", "6", 13}, {"E", "5", 10}, {"E", "7", 4}, {"E", "8", 2}, {"E", "9", 15}}
	later := func(by int64) (shifted []sent) {
		for _, r := range large {
			shifted = append(shifted, sent{r.key, r.value, r.at + by})
		}
		return shifted
	}
	for _, test := range []struct {
		name    string
		by      topology.Sliding
		records []sent
		look    func([]string) []string // how Kafka Streams' test looks at the results
		want    string
	}{
		{
			name:    "testAggregateSmallInput",
			by:      topology.Sliding{Size: 10 * ms, Grace: 50 * ms},
			records: []sent{{"A", "1", 10}, {"A", "2", 15}, {"A", "3", 20}, {"A", "4", 22}, {"A", "5", 30}},
			look:    lastOfWindow,
			want: `
				A[0,10] = 0+1 @10
				A[5,15] = 0+1+2 @15
				A[10,20] = 0+1+2+3 @20
				A[11,21] = 0+2+3 @20
				A[12,22] = 0+2+3+4 @22
				A[16,26] = 0+3+4 @22
				A[20,30] = 0+3+4+5 @30
				A[21,31] = 0+4+5 @30
				A[23,33] = 0+5 @30`,
		}, {
			name: "testAggregateLargeInput",
			by:   topology.Sliding{Size: 10 * ms, Grace: 50 * ms},
			records: []sent{
				{"A", "1", 10},
				{"A", "2", 20},
				{"A", "3", 22},
				{"A", "4", 15},
				{"B", "1", 12},
				{"B", "2", 13},
				{"B", "3", 18},
				{"B", "4", 19},
				{"B", "5", 25},
				{"B", "6", 14},
				{"C", "1", 11},
				{"C", "2", 15},
				{"C", "3", 16},
				{"C", "4", 21},
				{"C", "5", 23},
				{"D", "4", 11},
				{"D", "2", 12},
				{"D", "3", 29},
				{"D", "5", 16},
			},
			look: byWindow,
			want: `
				A[0,10] = 0+1 @10
				A[5,15] = 0+1+4 @15
				A[10,20] = 0+1+2 @20
				A[10,20] = 0+1+2+4 @20
				A[11,21] = 0+2 @20
				A[11,21] = 0+2+4 @20
				A[12,22] = 0+2+3 @22
				A[12,22] = 0+2+3+4 @22
				A[16,26] = 0+2+3 @22
				A[21,31] = 0+3 @22
				B[2,12] = 0+1 @12
				B[3,13] = 0+1+2 @13
				B[4,14] = 0+1+2+6 @14
				B[8,18] = 0+1+2+3 @18
				B[8,18] = 0+1+2+3+6 @18
				B[9,19] = 0+1+2+3+4 @19
				B[9,19] = 0+1+2+3+4+6 @19
				B[13,23] = 0+2 @13
				B[13,23] = 0+2+3 @18
				B[13,23] = 0+2+3+4 @19
				B[13,23] = 0+2+3+4+6 @19
				B[14,24] = 0+3 @18
				B[14,24] = 0+3+4 @19
				B[14,24] = 0+3+4+6 @19
				B[15,25] = 0+3+4+5 @25
				B[19,29] = 0+4 @19
				B[19,29] = 0+4+5 @25
				B[20,30] = 0+5 @25
				C[1,11] = 0+1 @11
				C[5,15] = 0+1+2 @15
				C[6,16] = 0+1+2+3 @16
				C[11,21] = 0+1+2+3+4 @21
				C[12,22] = 0+2 @15
				C[12,22] = 0+2+3 @16
				C[12,22] = 0+2+3+4 @21
				C[13,23] = 0+2+3+4+5 @23
				C[16,26] = 0+3 @16
				C[16,26] = 0+3+4 @21
				C[16,26] = 0+3+4+5 @23
				C[17,27] = 0+4 @21
				C[17,27] = 0+4+5 @23
				C[22,32] = 0+5 @23
				D[1,11] = 0+4 @11
				D[2,12] = 0+4+2 @12
				D[6,16] = 0+4+2+5 @16
				D[12,22] = 0+2 @12
				D[12,22] = 0+2+5 @16
				D[13,23] = 0+5 @16
				D[19,29] = 0+3 @29`,
		}, {
			name:    "testJoin: the order of a record's windows",
			by:      topology.Sliding{Size: 10 * ms, Grace: 100 * ms},
			records: []sent{{"A", "1", 10}, {"B", "2", 11}, {"C", "3", 12}, {"A", "1", 15}, {"B", "2", 16}, {"C", "3", 19}},
			want: `
				A[0,10] = 0+1 @10
				B[1,11] = 0+2 @11
				C[2,12] = 0+3 @12
				A[11,21] = 0+1 @15
				A[5,15] = 0+1+1 @15
				B[12,22] = 0+2 @16
				B[6,16] = 0+2+2 @16
				C[13,23] = 0+3 @19
				C[9,19] = 0+3+3 @19`,
		}, {
			name:    "testEarlyRecordsSmallInput",
			by:      topology.Sliding{Size: 50 * ms, Grace: 200 * ms},
			records: []sent{{"A", "1", 0}, {"A", "2", 5}, {"A", "3", 6}, {"A", "4", 3}, {"A", "5", 13}, {"A", "6", 10}},
			look:    lastOfWindow,
			want: `
				A[0,50] = 0+1+2+3+4+5+6 @13
				A[1,51] = 0+2+3+4+5+6 @13
				A[4,54] = 0+2+3+5+6 @13
				A[6,56] = 0+3+5+6 @13
				A[7,57] = 0+5+6 @13
				A[11,61] = 0+5 @13`,
		}, {
			name:    "testEarlyRecordsRepeatedInput",
			by:      topology.Sliding{Size: 5 * ms, Grace: 20 * ms},
			records: []sent{{"A", "1", 0}, {"A", "2", 2}, {"A", "3", 4}, {"A", "4", 0}, {"A", "5", 2}, {"A", "6", 2}, {"A", "7", 0}},
			look:    lastOfWindow,
			want: `
				A[0,5] = 0+1+2+3+4+5+6+7 @4
				A[1,6] = 0+2+3+5+6 @4
				A[3,8] = 0+3 @4`,
		}, {
			name:    "testEarlyRecordsLargeInput",
			by:      topology.Sliding{Size: 10 * ms, Grace: 50 * ms},
			records: large,
			look:    byWindow,
			want: `
				E[0,10] = 0+1 @0
				E[0,10] = 0+1+3 @5
				E[0,10] = 0+1+3+4 @6
				E[0,10] = 0+1+3+4+2 @6
				E[0,10] = 0+1+3+4+2+5 @10
				E[0,10] = 0+1+3+4+2+5+7 @10
				E[0,10] = 0+1+3+4+2+5+7+8 @10
				E[1,11] = 0+3 @5
				E[1,11] = 0+3+4 @6
				E[1,11] = 0+3+4+2 @6
				E[1,11] = 0+3+4+2+5 @10
				E[1,11] = 0+3+4+2+5+7 @10
				E[1,11] = 0+3+4+2+5+7+8 @10
				E[3,13] = 0+3+4+2+6 @13
				E[3,13] = 0+3+4+2+6+5 @13
				E[3,13] = 0+3+4+2+6+5+7 @13
				E[4,14] = 0+3+4 @6
				E[4,14] = 0+3+4+6 @13
				E[4,14] = 0+3+4+6+5 @13
				E[4,14] = 0+3+4+6+5+7 @13
				E[5,15] = 0+3+4+6+5 @13
				E[5,15] = 0+3+4+6+5+9 @15
				E[6,16] = 0+4 @6
				E[6,16] = 0+4+6 @13
				E[6,16] = 0+4+6+5 @13
				E[6,16] = 0+4+6+5+9 @15
				E[7,17] = 0+6 @13
				E[7,17] = 0+6+5 @13
				E[7,17] = 0+6+5+9 @15
				E[11,21] = 0+6 @13
				E[11,21] = 0+6+9 @15
				E[14,24] = 0+9 @15`,
		}, {
			name:    "testEarlyNoGracePeriodSmallInput",
			by:      topology.Sliding{Size: 50 * ms},
			records: []sent{{"A", "1", 0}, {"A", "2", 5}, {"A", "3", 6}, {"A", "4", 3}, {"A", "5", 13}, {"A", "6", 10}},
			look:    lastOfWindow,
			want: `
				A[0,50] = 0+1+2+3+4+5+6 @13
				A[1,51] = 0+2+3+4+5+6 @13
				A[4,54] = 0+2+3+5+6 @13
				A[6,56] = 0+3+5+6 @13
				A[7,57] = 0+5+6 @13
				A[11,61] = 0+5 @13`,
		}, {
			name:    "testNoGracePeriodSmallInput",
			by:      topology.Sliding{Size: 50 * ms},
			records: []sent{{"A", "1", 100}, {"A", "2", 105}, {"A", "3", 106}, {"A", "4", 103}, {"A", "5", 113}, {"A", "6", 110}},
			look:    lastOfWindow,
			want: `
				A[50,100] = 0+1 @100
				A[55,105] = 0+1+2 @105
				A[56,106] = 0+1+2+3+4 @106
				A[63,113] = 0+1+2+3+4+5+6 @113
				A[101,151] = 0+2+3+4+5+6 @113
				A[104,154] = 0+2+3+5+6 @113
				A[106,156] = 0+3+5+6 @113
				A[107,157] = 0+5+6 @113
				A[111,161] = 0+5 @113`,
		}, {
			name:    "testEarlyNoGracePeriodLargeInput",
			by:      topology.Sliding{Size: 10 * ms},
			records: large,
			look:    byWindow,
			want: `
				E[0,10] = 0+1 @0
				E[0,10] = 0+1+3 @5
				E[0,10] = 0+1+3+4 @6
				E[0,10] = 0+1+3+4+2 @6
				E[1,11] = 0+3 @5
				E[1,11] = 0+3+4 @6
				E[1,11] = 0+3+4+2 @6
				E[3,13] = 0+3+4+2+6 @13
				E[3,13] = 0+3+4+2+6+5 @13
				E[3,13] = 0+3+4+2+6+5+7 @13
				E[4,14] = 0+3+4 @6
				E[4,14] = 0+3+4+6 @13
				E[4,14] = 0+3+4+6+5 @13
				E[4,14] = 0+3+4+6+5+7 @13
				E[5,15] = 0+3+4+6+5 @13
				E[5,15] = 0+3+4+6+5+9 @15
				E[6,16] = 0+4 @6
				E[6,16] = 0+4+6 @13
				E[6,16] = 0+4+6+5 @13
				E[6,16] = 0+4+6+5+9 @15
				E[7,17] = 0+6 @13
				E[7,17] = 0+6+5 @13
				E[7,17] = 0+6+5+9 @15
				E[11,21] = 0+6 @13
				E[11,21] = 0+6+9 @15
				E[14,24] = 0+9 @15`,
		}, {
			name:    "testNoGracePeriodLargeInput",
			by:      topology.Sliding{Size: 10 * ms},
			records: later(100),
			look:    byWindow,
			want: `
				E[90,100] = 0+1 @100
				E[95,105] = 0+1+3 @105
				E[96,106] = 0+1+3+4 @106
				E[96,106] = 0+1+3+4+2 @106
				E[101,111] = 0+3 @105
				E[101,111] = 0+3+4 @106
				E[101,111] = 0+3+4+2 @106
				E[103,113] = 0+3+4+2+6 @113
				E[103,113] = 0+3+4+2+6+5 @113
				E[103,113] = 0+3+4+2+6+5+7 @113
				E[104,114] = 0+3+4 @106
				E[104,114] = 0+3+4+6 @113
				E[104,114] = 0+3+4+6+5 @113
				E[104,114] = 0+3+4+6+5+7 @113
				E[105,115] = 0+3+4+6+5 @113
				E[105,115] = 0+3+4+6+5+9 @115
				E[106,116] = 0+4 @106
				E[106,116] = 0+4+6 @113
				E[106,116] = 0+4+6+5 @113
				E[106,116] = 0+4+6+5+9 @115
				E[107,117] = 0+6 @113
				E[107,117] = 0+6+5 @113
				E[107,117] = 0+6+5+9 @115
				E[111,121] = 0+6 @113
				E[111,121] = 0+6+9 @115
				E[114,124] = 0+9 @115`,
		}, {
			name: "shouldLogAndMeterWhenSkippingExpiredWindowByGrace",
			by:   topology.Sliding{Size: 10 * ms, Grace: 90 * ms},
			records: []sent{
				{"k", "100", 200}, {"k", "0", 100}, {"k", "1", 101}, {"k", "2", 102}, {"k", "3", 103}, {"k", "4", 104}, {"k", "5", 105}, {"k", "6", 15},
			},
			want: `k[190,200] = 0+100 @200`,
		}, {
			// The last moment at which the window that begins with the record is open.
			name:    "late for all windows but one",
			by:      topology.Sliding{Size: 10 * ms, Grace: 90 * ms},
			records: []sent{{"k", "a", 99}, {"o", "x", 200}, {"k", "late", 99}, {"k", "b", 100}},
			want: `
				k[89,99] = 0+a @99
				o[190,200] = 0+x @200
				k[100,110] = 0+b @100`,
		},
	} {
		// Of KStreamSlidingWindowAggregateTest, but the last.
		t.Run(test.name, func(t *testing.T) {
			got := resultsOf(t, added(test.by), test.records)
			if test.look != nil {
				got = test.look(got)
			}
			compareLines(t, test.want, got)
		})
	}
}

// KStreamSlidingWindowAggregateTest.testReduceSmallInput.
func TestSlidingReduce(t *testing.T) {
	got := resultsOf(t, func(b *topology.Builder) {
		table := topology.Reduce(topology.Window(topology.Consume(b, letters), topology.Sliding{Size: 10 * ms, Grace: 50 * ms}), traced,
			func(_ topology.Windowed[string], v, kept string) string { return kept + "+" + v })
		topology.Publish(table, traces)
	}, []sent{{"A", "1", 10}, {"A", "2", 14}, {"A", "3", 15}, {"A", "4", 22}, {"A", "5", 26}, {"A", "6", 30}})
	compareLines(t, `
		A[0,10] = 1 @10
		A[4,14] = 1+2 @14
		A[5,15] = 1+2+3 @15
		A[11,21] = 2+3 @15
		A[12,22] = 2+3+4 @22
		A[15,25] = 3+4 @22
		A[16,26] = 4+5 @26
		A[20,30] = 4+5+6 @30
		A[23,33] = 5+6 @30
		A[27,37] = 6 @30`, lastOfWindow(got))
}

// KStreamSlidingWindowAggregateTest.testAggregateRandomInput: the order of
// records makes no difference to what is in the end.
func TestSlidingInAnyOrder(t *testing.T) {
	records := []sent{
		{"A", "A", 10},
		{"A", "B", 15},
		{"A", "C", 16},
		{"A", "D", 18},
		{"A", "E", 30},
		{"A", "F", 40},
		{"A", "G", 55},
		{"A", "H", 56},
		{"A", "I", 58},
		{"A", "J", 58},
		{"A", "K", 62},
		{"A", "L", 63},
		{"A", "M", 63},
		{"A", "N", 63},
		{"A", "O", 76},
		{"A", "P", 77},
		{"A", "Q", 80},
		{"A", "R", 2},
		{"A", "S", 3},
		{"A", "T", 5},
		{"A", "U", 8},
	}
	random := random(t)
	for range 20 {
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		got := resultsOf(t, func(b *topology.Builder) {
			table := topology.Aggregate(topology.Window(topology.Consume(b, letters), topology.Sliding{Size: 10 * ms, Grace: 10000 * ms}), traced,
				func(_ topology.Windowed[string], v, kept string) string {
					letters := []byte(kept + v)
					slices.Sort(letters)
					return string(letters)
				})
			topology.Publish(table, traces)
		}, records)
		compareLines(t, `
			A[0,10] = ARSTU @10
			A[3,13] = ASTU @10
			A[4,14] = ATU @10
			A[5,15] = ABTU @15
			A[6,16] = ABCU @16
			A[8,18] = ABCDU @18
			A[9,19] = ABCD @18
			A[11,21] = BCD @18
			A[16,26] = CD @18
			A[17,27] = D @18
			A[20,30] = E @30
			A[30,40] = EF @40
			A[31,41] = F @40
			A[45,55] = G @55
			A[46,56] = GH @56
			A[48,58] = GHIJ @58
			A[52,62] = GHIJK @62
			A[53,63] = GHIJKLMN @63
			A[56,66] = HIJKLMN @63
			A[57,67] = IJKLMN @63
			A[59,69] = KLMN @63
			A[63,73] = LMN @63
			A[66,76] = O @76
			A[67,77] = OP @77
			A[70,80] = OPQ @80
			A[77,87] = PQ @80
			A[78,88] = Q @80`, lastOfWindow(got))
	}
}
