package processor_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// produceAsLibrdkafka produces records as its default partitioner would.
func (c *cluster) produceAsLibrdkafka(partitions uint32, raws ...topology.Raw) {
	c.t.Helper()
	var records []*kgo.Record
	for _, r := range raws {
		records = append(records, &kgo.Record{
			Topic: journal.Name, Key: r.Key, Value: r.Value, Partition: int32(crc32.ChecksumIEEE(r.Key) % partitions),
		})
	}
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// greeter is a key with a row.
func greeter(n int) topology.Raw {
	r, err := journal.Encode(fmt.Sprintf("key-%03d", n), hello{State: "HAPPY", Count: int64(n)})
	if err != nil {
		panic(err)
	}
	return r
}

// Each instance finds every key of a journal that librdkafka has partitioned, and
// says that a key is absent only if it is.
func TestLookupsInForeignPartitions(t *testing.T) {
	t.Parallel()
	const partitions, keys = 4, 200
	c := newCluster(t, 1)
	c.create(journal.Name, partitions, nil)
	one, two := c.advertised(), c.advertised()
	share(t, 2, one, two)
	var raws []topology.Raw
	for n := range keys {
		raws = append(raws, greeter(n))
	}
	c.produceAsLibrdkafka(partitions, raws...)
	c.materialized(one, two)
	for _, i := range []*instance{one, two} {
		server := httptest.NewServer(i.Handler())
		defer server.Close()
		view := processor.Query(i.Processor, hellos)
		for n := range keys + 20 {
			r, ok, err := view.Get(t.Context(), fmt.Sprintf("key-%03d", n))
			if err != nil || ok != (n < keys) || ok && r.Value.Count != int64(n) {
				t.Errorf("key %d: %v, %v, %v", n, r.Value, ok, err)
			}
		}
		found, elsewhere := 0, 0
		for n := range keys { // one that answers for itself says that others may have it
			res, err := http.Get(fmt.Sprintf("%s/v1/tables/%s/key-%03d?local=1", server.URL, hellos.Name, n))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			switch res.StatusCode {
			case http.StatusOK:
				found++
			case http.StatusMisdirectedRequest:
				elsewhere++
			default:
				t.Fatalf("key %d: %s", n, res.Status)
			}
		}
		t.Logf("%d keys are here, %d elsewhere", found, elsewhere)
	}

	// It is said once by an instance, and names what to set.
	const warning = "Set partitioner=murmur2_random"
	for _, i := range []*instance{one, two} {
		if n := strings.Count(i.log.String(), warning); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
	}

	// A rebuilt sink keeps what lies in partitions of the other.
	c.redis.FlushAll()
	c.materialized(one, two)

	// What can't be asked is not absent.
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	for n := range keys {
		_, ok, err := processor.Query(one.Processor, hellos).Get(t.Context(), fmt.Sprintf("key-%03d", n))
		var elsewhere *processor.ElsewhereError
		if !ok && !errors.Is(err, processor.ErrRestoring) && !errors.As(err, &elsewhere) {
			t.Errorf("key %d: %v, %v", n, ok, err)
		}
	}
}

// An instance that has seen no key stray learns it from one that has.
func TestStrayKeyOfAnotherInstance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	one, two := c.advertised(), c.advertised()
	share(t, 1, one, two)
	stray := greeter(0) // in a partition that is not murmur2's
	at := 1 - topology.Partition(stray.Key, 2)
	record := &kgo.Record{Topic: journal.Name, Key: stray.Key, Value: stray.Value, Partition: at}
	if err := c.client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.materialized(one, two)
	for _, i := range []*instance{one, two} {
		if r, ok, err := processor.Query(i.Processor, hellos).Get(t.Context(), "key-000"); err != nil || !ok || r.Value.State != "HAPPY" {
			t.Errorf("%v, %v, %v", r.Value, ok, err)
		}
	}
}
