package topology

import (
	"testing"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

func TestPartitionKeysOfBuffers(t *testing.T) {
	row := wire.AppendTime(wire.AppendKey(nil, []byte("a\x00b")), 7)
	if got := partitionKeyOf[string](nil, row); string(got) != "a\x00b" {
		t.Errorf("partition key %q", got)
	}
}
