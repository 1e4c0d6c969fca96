package topology_test

import (
	"bytes"
	"encoding/json"
	"testing"

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
