package topology_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// perhaps stores text that may be missing.
type perhaps struct{}

func (perhaps) Encode(s *string) ([]byte, error)    { return []byte(*s), nil }
func (perhaps) Decode(data []byte) (*string, error) { s := string(data); return &s, nil }

// Records whose keys and values may be missing, and be shown so to functions: as
// all of them are in Kafka Streams.
var (
	words   = topology.Topic[*string, *string]{Name: "words", Key: perhaps{}, Value: perhaps{}}
	spoken  = topology.Topic[*string, *string]{Name: "spoken", Key: perhaps{}, Value: perhaps{}}
	written = topology.Topic[*string, *string]{Name: "written", Key: perhaps{}, Value: perhaps{}}
)

type (
	wordStream = topology.Stream[*string, *string]
	wordRecord = topology.Record[*string, *string]
)

func show(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func said(s string) *string { return &s }

// Every stateless operator with keys and values that are there and that are
// not. What comes out has the time and the headers of what went in.
func TestStatelessOperators(t *testing.T) {
	publish := func(s wordStream) { topology.Publish(s, written) }
	for _, test := range []struct {
		name    string
		declare func(b *topology.Builder, s wordStream)
		want    string // of a=1, null=2, b=null and null=null, in this order
	}{
		{"Publish", func(_ *topology.Builder, s wordStream) { publish(s) }, "a=1 null=2 b=null null=null"},
		{"Filter", func(_ *topology.Builder, s wordStream) {
			publish(topology.Filter(s, func(k, v *string) bool { return k == nil || v == nil }))
		}, "null=2 b=null null=null"},
		{"FilterMap", func(_ *topology.Builder, s wordStream) {
			publish(topology.FilterMap(s, func(k, v *string) (*string, bool) { return said(show(k) + show(v)), v == nil }))
		}, "b=bnull null=nullnull"},
		{"FilterMap to nothing", func(_ *topology.Builder, s wordStream) {
			publish(topology.FilterMap(s, func(k, _ *string) (*string, bool) { return nil, k != nil }))
		}, "a=null b=null"},
		{"MapValues", func(_ *topology.Builder, s wordStream) {
			publish(topology.MapValues(s, func(k, v *string) *string { return said(show(k) + show(v)) }))
		}, "a=a1 null=null2 b=bnull null=nullnull"},
		{"MapValues to nothing", func(_ *topology.Builder, s wordStream) {
			publish(topology.MapValues(s, func(_, _ *string) *string { return nil }))
		}, "a=null null=null b=null null=null"},
		{"Map", func(_ *topology.Builder, s wordStream) {
			publish(topology.Map(s, func(k, v *string) (k2, v2 *string) { return v, k }))
		}, "1=a 2=null null=b null=null"},
		{"SelectKey", func(_ *topology.Builder, s wordStream) {
			publish(topology.SelectKey(s, func(_, v *string) *string { return v }))
		}, "1=1 2=2 null=null null=null"},
		{"FlatMap", func(_ *topology.Builder, s wordStream) {
			publish(topology.FlatMap(s, func(k, v *string, emit func(k, v *string)) {
				if k != nil {
					emit(v, k)
					emit(k, v)
				}
			}))
		}, "1=a a=1 null=b b=null"},
		{"FlatMapValues", func(_ *topology.Builder, s wordStream) {
			publish(topology.FlatMapValues(s, func(_, v *string, emit func(*string)) {
				if v != nil {
					emit(v)
					emit(nil)
				}
			}))
		}, "a=1 a=null null=2 null=null"},
		{"Try", func(_ *topology.Builder, s wordStream) {
			publish(topology.Try(s, func(_, v *string) (*string, error) { return said("tried " + show(v)), nil }))
		}, "a=tried 1 null=tried 2 b=tried null null=tried null"},
		{"Records", func(_ *topology.Builder, s wordStream) {
			publish(topology.MapValues(topology.Records(s), func(k *string, r wordRecord) *string {
				return said(fmt.Sprintf("%t,%s,%d,%d,%s", k == r.Key, show(r.Value), r.Time.UnixMilli(), len(r.Headers), r.Position))
			}))
		}, "a=true,1,1,1,words/0@0 null=true,2,2,1,words/0@1 b=true,null,3,1,words/0@2 null=true,null,4,1,words/0@3"},
		{"Split", func(_ *topology.Builder, s wordStream) {
			branches := topology.Split(s,
				topology.Branch[*string, *string]{Name: "keyless", Take: func(k, _ *string) bool { return k == nil }},
				topology.Branch[*string, *string]{Name: "empty", Take: func(_, v *string) bool { return v == nil }})
			for i, branch := range branches {
				publish(topology.MapValues(branch, func(_, v *string) *string { return said(strconv.Itoa(i) + show(v)) }))
			}
		}, "a=21 null=02 b=1null null=0null"}, // the first that takes it, or the rest
		{"Merge", func(b *topology.Builder, s wordStream) {
			publish(topology.Merge(s, topology.Consume(b, spoken), topology.Filter(s, func(k, v *string) bool { return k == nil && v == nil })))
		}, "a=1 null=2 b=null null=null null=null"},
		{"Peek", func(_ *topology.Builder, s wordStream) {
			seen := 0
			peeked := topology.Peek(s, func(_, _ *string) { seen++ })
			publish(topology.MapValues(peeked, func(_, _ *string) *string { return said(strconv.Itoa(seen)) }))
		}, "a=1 null=2 b=3 null=4"},
		{"Repartition", func(_ *topology.Builder, s wordStream) {
			publish(topology.Repartition(s, topology.Topic[*string, *string]{Name: "through"}))
		}, "a=1 null=2 b=null null=null"},
		{"Route", func(_ *topology.Builder, s wordStream) {
			topology.Route(s, func(k, v *string) topology.Topic[*string, *string] {
				if k == nil {
					return topology.Topic[*string, *string]{Name: "elsewhere"}
				}
				return topology.Topic[*string, *string]{Name: "written"}
			})
			topology.Publish(s, topology.Topic[*string, *string]{Name: "copies"})
		}, "a=1 b=null"},
		{"Process", func(_ *topology.Builder, s wordStream) {
			publish(topology.Process(s, func(c *topology.Context[*string, *string]) func(wordRecord) error {
				return func(r wordRecord) error {
					c.Emit(wordRecord{Key: r.Value, Value: r.Key})
					return nil
				}
			}))
		}, "1=a 2=null null=b null=null"},
		{"depth first", func(_ *topology.Builder, s wordStream) {
			twice := topology.FlatMapValues(s, func(_, v *string, emit func(*string)) { emit(v); emit(said("again")) })
			publish(twice)
			publish(topology.MapValues(twice, func(_, v *string) *string { return said("then " + show(v)) }))
		}, "a=1 a=then 1 a=again a=then again null=2 null=then 2 null=again null=then again " +
			"b=null b=then null b=again b=then again null=null null=then null null=again null=then again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := drive(t, func(b *topology.Builder) { test.declare(b, topology.Consume(b, words)) })
			var got []string
			for i, e := range []event{{"words", "a", "1", 1}, {"words", "null", "2", 2}, {"words", "b", "null", 3}, {"words", "null", "null", 4}} {
				r := e.raw()
				r.Headers = []topology.Header{{Key: "trace", Value: []byte{byte(i)}}}
				d.SendRaw(r)
				for _, out := range topologytest.Received(d, written) {
					line := show(out.Key) + "=null"
					if out.Value != nil {
						line = show(out.Key) + "=" + show(*out.Value)
					}
					if out.Time.UnixMilli() != e.at || !cmp.Equal(out.Headers, r.Headers) {
						line += fmt.Sprintf(" at %v with %v", out.Time, out.Headers)
					}
					got = append(got, line)
				}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// What makes a table drops what has no key; a missing value is dropped by what
// counts, and deletes a row of ToTable.
func TestTablesOfIncompleteRecords(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		s := topology.Consume(b, lines)
		topology.ToTable(s, last)
		topology.Count(s, tally)
		topology.Reduce(s, topology.Store[string, string]{Name: "reduced"}, func(_, v, kept string) string { return kept + v })
		topology.Aggregate(s, trace, func(_, v, kept string) string { return kept + v })
	})
	for _, e := range []event{in("a", "1", 1), in("null", "2", 2), in("a", "null", 3), in("b", "4", 4), in("null", "null", 5)} {
		d.SendRaw(e.raw())
	}
	text := map[string]string{"a": "1", "b": "4"}
	for _, rows := range []topology.Store[string, string]{trace, {Name: "reduced"}} {
		if diff := cmp.Diff(text, topologytest.Rows(d, rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rows.Name, diff)
		}
	}
	if diff := cmp.Diff(map[string]string{"b": "4"}, topologytest.Rows(d, last)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"a": 1, "b": 1}, topologytest.Rows(d, tally)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// The time of what is made of a record is what the topic's Time says, the
// record's own where it says nothing, or where it cannot be asked.
func TestTimeOfATopic(t *testing.T) {
	from := lines
	from.Time = func(r topology.Record[string, string]) time.Time {
		v := r.Value
		switch v {
		case "own":
			return time.Time{}
		case "panic":
			panic("no")
		}
		n, _ := strconv.ParseInt(v, 10, 64)
		return time.UnixMilli(n)
	}
	topo := build(t, func(b *topology.Builder) {
		s := topology.Consume(b, from)
		topology.Publish(s, out)
		topology.ToTable(s, last)
	})
	d := topologytest.New(t, topo, 1)
	holds(t, d, []truth{
		{in("a", "70", 5), "a=70@70"},
		{in("a", "own", 6), "a=own@6"},
		{in("a", "null", 7), "a deleted@7"},
		{in("a", "panic", 8), ""},
	})
	for _, err := range d.Errors() {
		if !strings.HasPrefix(err.Error(), "record lines/0@3: topic lines: panic at stateless_test.go:") {
			t.Errorf("error %v", err)
		}
	}
	task := start(topo.Groups()[0], rows{})
	for value, want := range map[string]int64{"70": 70, "own": 5, "null": 5, "panic": 5} {
		if got := task.Time(in("a", value, 5).raw()).UnixMilli(); got != want {
			t.Errorf("time of %q is %d, want %d", value, got, want)
		}
	}
}

// A topic that is chosen for a record must be one that can be written to.
func TestRouteToNowhere(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		topology.Route(topology.MapValues(topology.Consume(b, lines), func(_, v string) []string { return []string{v} }),
			func(_ string, v []string) topology.Topic[string, []string] {
				return topology.Topic[string, []string]{Name: v[0]}
			})
	})
	topologytest.Send(d, lines, "a", "out")
	topologytest.Send(d, lines, "a", "")
	wantErrors(t, d,
		`record lines/0@0: route 1: topic "out": no codec for its values of type []string`,
		"record lines/0@1: route 1: topic of string to []string: it has no name\ntopic \"\": no codec for its values of type []string")
}

// Every verb refuses what it cannot work with, by name.
func TestMistakesOfVerbs(t *testing.T) {
	type b = topology.Builder
	rekeyed := func(b *b) topology.Stream[string, string] {
		return topology.SelectKey(topology.Consume(b, lines), func(_, v string) string { return v })
	}
	needed := "a step before it has changed keys, so that records of one key lie in several partitions: put Repartition between"
	wantMistakes(t, map[string]func(*b){
		"table last: " + needed:  func(b *b) { topology.ToTable(rekeyed(b), last) },
		"count tally: " + needed: func(b *b) { topology.Count(rekeyed(b), tally) },
		"reduce last: " + needed: func(b *b) {
			topology.Reduce(rekeyed(b), last, func(_, v, _ string) string { return v })
		},
		"aggregate trace: " + needed: func(b *b) {
			topology.Aggregate(topology.Merge(topology.Consume(b, lines), rekeyed(b)), trace, func(_, v, _ string) string { return v })
		},
		"filter 1: the function is nil": func(b *b) { topology.Publish(topology.Filter(topology.Consume(b, lines), nil), out) },
		"map values 1: the function is nil": func(b *b) {
			topology.Publish(topology.MapValues[string, string, string](topology.Consume(b, lines), nil), out)
		},
		"try 1: the function is nil": func(b *b) {
			topology.Publish(topology.Try[string, string, string](topology.Consume(b, lines), nil), out)
		},
		"map 1: the function is nil": func(b *b) {
			topology.Publish(topology.Map[string, string, string, string](topology.Consume(b, lines), nil), out)
		},
		"flat map 1: the function is nil": func(b *b) {
			topology.Publish(topology.FlatMap[string, string, string, string](topology.Consume(b, lines), nil), out)
		},
		"flat map values 1: the function is nil": func(b *b) {
			topology.Publish(topology.FlatMapValues[string, string, string](topology.Consume(b, lines), nil), out)
		},
		"select key 1: the function is nil": func(b *b) {
			topology.Publish(topology.SelectKey[string, string, string](topology.Consume(b, lines), nil), out)
		},
		"peek 1: the function is nil":          func(b *b) { topology.Peek(topology.Consume(b, lines), nil) },
		"for each 1: the function is nil":      func(b *b) { topology.ForEach(topology.Consume(b, lines), nil) },
		"route 1: the function is nil":         func(b *b) { topology.Route(topology.Consume(b, lines), nil) },
		"reduce last: the function is nil":     func(b *b) { topology.Reduce(topology.Consume(b, lines), last, nil) },
		"aggregate trace: the function is nil": func(b *b) { topology.Aggregate[string, string](topology.Consume(b, lines), trace, nil) },
		"derive evens: the function is nil": func(b *b) {
			topology.Derive[string, string](topology.Materialize(b, lines, last), evens, nil)
		},
		"process values 1: the function is nil": func(b *b) { topology.ProcessValues[string, string, string](topology.Consume(b, lines), nil) },
		"split 1: two branches have the name \"x\", or one has none\nsplit 1: two branches have the name \"\", or one has none\nbranch x of split 1: the function is nil": func(b *b) {
			take := func(_, _ string) bool { return true }
			type branch = topology.Branch[string, string]
			for _, s := range topology.Split(topology.Consume(b, lines), branch{Name: "x", Take: take}, branch{Name: "x"}, branch{Take: take}) {
				topology.Publish(s, out)
			}
		},
		`topic "one": it feeds itself: one → through → two → one`: func(b *b) {
			through := topology.Repartition(topology.Consume(b, ones), topology.Topic[string, string]{Name: "through"})
			topology.Publish(through, twos)
			topology.Publish(topology.Materialize(b, twos, last), ones)
		},
		`topic "lines": records are sent through it and it is consumed: give the repartition topic a name of its own` + "\n" +
			`topic "lines": it feeds itself: lines → lines`: func(b *b) {
			topology.Count(topology.Repartition(topology.Consume(b, lines), topology.Topic[string, string]{Name: "lines"}), tally)
		},
		`topic "through": -1 partitions`: func(b *b) {
			topology.Count(topology.Repartition(topology.Consume(b, lines), topology.Topic[string, string]{Name: "through", Partitions: -1}), tally)
		},
		`topic "through": no codec for its values of type []string`: func(b *b) {
			lists := topology.MapValues(topology.Consume(b, lines), func(_, v string) []string { return nil })
			topology.Count(topology.Repartition(lists, topology.Topic[string, []string]{Name: "through"}), tally)
		},
		`topic "through": it is published as string (codec.String) to string (codec.String) and as string (codec.String) to int64 (codec.Int64)`: func(b *b) {
			all := topology.Consume(b, lines)
			topology.Count(topology.Repartition(all, topology.Topic[string, string]{Name: "through"}), tally)
			numbers := topology.Try(all, parse)
			topology.Count(topology.Repartition(numbers, topology.Topic[string, int64]{Name: "through", Value: codec.Int64{}}), counts)
		},
	})
}
