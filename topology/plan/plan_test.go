package plan_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology/plan"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// shop is a plan with a step of each kind, whatever topology would have it.
func shop() *plan.Plan {
	return &plan.Plan{
		Application: "shop",
		Groups: []plan.Group{
			{
				Name: "shop-counts", Inputs: []string{"orders"}, Outputs: []string{"by-customer", "loud"}, Globals: []string{"products"},
				Steps: []plan.Step{
					{Name: "topic orders", Kind: plan.KindTopic},
					{Name: "global table products", Kind: plan.KindGlobal},
					{Name: "join global 1", Kind: "join global", Ups: []int{0, 1}},
					{Name: "count counts", Kind: "count", Ups: []int{2}, Stores: []string{"counts"}},
					{Name: "process 1", Kind: "process", Ups: []int{2}, Stores: []string{"counts", "notes"}},
					{Name: "route 1", Kind: plan.KindRoute, Ups: []int{4}},
					{Name: "topic loud", Kind: plan.KindPublish, Ups: []int{4}},
					{Name: "topic loud", Kind: plan.KindPublish, Ups: []int{2}},
					{Name: "topic by-customer", Kind: plan.KindPublish, Ups: []int{2}},
				},
				Stores: []plan.Store{
					{Name: "counts", Changelog: "shop-counts-table", Table: true, Key: "codec.String", Value: "codec.Int64", Windows: "tumbling 1h", Grace: "5m", TTL: "24h", Sinks: []string{"redis b", "redis a"}},
					{Name: "notes", Changelog: "shop-notes-table", EveryChange: true},
				},
			},
			{
				Name: "shop-newest", Inputs: []string{"by-customer"},
				Steps: []plan.Step{
					{Name: "topic by-customer", Kind: plan.KindTopic},
					{Name: "table newest", Kind: "table", Ups: []int{0}, Stores: []string{"newest"}},
				},
				Stores: []plan.Store{{Name: "newest", Changelog: "shop-newest-table", Table: true, Key: "codec.String", Value: "codec.JSON[shop.Order]", TTL: "1h"}},
			},
		},
		Globals: []plan.Global{{Store: "products", Topic: "products-feed", Key: "codec.String", Value: "codec.String"}},
		Topics: []plan.Topic{
			{Name: "by-customer", Key: "codec.String", Value: "codec.JSON[shop.Order]", Repartition: &plan.Repartition{}},
			{Name: "loud", Key: "codec.String", Value: "codec.String"},
			{Name: "orders", Key: "codec.String", Value: "codec.JSON[shop.Order]"},
			{Name: "products-feed", Key: "codec.String", Value: "codec.String"},
		},
	}
}

func described(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPictures(t *testing.T) {
	p := shop()
	topologytest.Golden(t, p.String(), "testdata/shop.golden")
	topologytest.Golden(t, p.Mermaid(), "testdata/shop.mermaid")
	var text bytes.Buffer
	if err := json.Indent(&text, described(t, p), "", "  "); err != nil {
		t.Fatal(err)
	}
	topologytest.Golden(t, text.String()+"\n", "testdata/shop.json")
}

// Nothing that is drawn or described changes the plan.
func TestPlanStays(t *testing.T) {
	p := shop()
	_, _, _ = p.String(), p.Mermaid(), described(t, p)
	if diff := cmp.Diff(shop(), p); diff != "" {
		t.Errorf("plan (-was +is):\n%s", diff)
	}
}

func TestDiffOfPlans(t *testing.T) {
	old, is := shop(), shop()
	is.Groups[0].Stores[0].Windows = "tumbling 2h"
	is.Groups[1].Stores[0].Value = "codec.String"
	is.Topics[2].Value = "codec.JSON[other.Order]" // a package may move
	found, err := plan.Diff(described(t, old), described(t, is))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		got = append(got, d.Level.String()+" "+d.What)
	}
	if diff := cmp.Diff([]string{"breaking store newest", "needs reset store counts"}, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// A repartition topic gets as many partitions as the input of its writer has.
func TestPartitionsOfPlan(t *testing.T) {
	got, err := shop().Partitions(map[string]int32{"orders": 6, "loud": 1, "products-feed": 2})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int32{
		"orders": 6, "loud": 1, "products-feed": 2, "by-customer": 6, "shop-counts-table": 6, "shop-notes-table": 6, "shop-newest-table": 6,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}
