package topology_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// described returns a topology's description.
func described(t testing.TB, declare func(*topology.Builder)) string {
	t.Helper()
	data, err := json.Marshal(build(t, declare))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return text.String() + "\n"
}

func TestDescription(t *testing.T) {
	topologytest.Golden(t, described(t, shop), "testdata/shop.json")
}

func TestDescriptionDoesNotDependOnTheOrderOfDeclaration(t *testing.T) {
	got := described(t, func(b *topology.Builder) {
		shopPayments(b)
		shopCustomers(b)
		shopOrders(b)
	})
	if want := described(t, shop); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Kinds are verbs: they have no numbers and no names.
func TestKindsOfSteps(t *testing.T) {
	var got struct {
		Groups []struct {
			Steps []struct{ Name, Kind string }
		}
	}
	text := described(t, func(b *topology.Builder) {
		all := topology.Consume(b, lines)
		rows := topology.ToTable(all, topology.Store[string, string]{Name: "rows"})
		longest := topology.Derive(rows, topology.Store[string, int64]{Name: "lengths", Value: codec.Int64{}},
			func(_, line string) (int64, bool) { return int64(len(line)), true })
		topology.Suppress(longest, topology.Store[string, int64]{Name: "slowly"}, topology.Until{Age: time.Hour})
		topology.Count(topology.Regroup(rows, topology.Topic[string, string]{Name: "by-line"},
			func(k, line string) (string, string) { return line, k }), topology.Store[string, int64]{Name: "lines-like-this"})
		topology.Cogroup(topology.Store[string, int64]{Name: "together", Value: codec.Int64{}},
			topology.Fold(all, func(_, _ string, n int64) int64 { return n + 1 }))
	})
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, g := range got.Groups {
		for _, s := range g.Steps {
			kinds[s.Name] = s.Kind
		}
	}
	want := map[string]string{
		"table rows": "table", "derive lengths": "derive", "suppress slowly": "suppress", "regroup 1": "regroup",
		"topic by-line": "publish", "count lines-like-this": "count", "cogroup together": "cogroup",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if want := `"value": "topology.changeCodec[string] of codec.String"`; !strings.Contains(text, want) {
		t.Errorf("no %s in %s", want, text)
	}
}
