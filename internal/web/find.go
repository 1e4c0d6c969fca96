package web

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/topology"
)

// find looks for a row that its own partition does not have in all others, if
// keys stray.
func (c Cluster) find(ctx context.Context, store string, absent topology.Raw) (topology.Raw, error) {
	r, others, err := c.findOwn(ctx, store, absent)
	if err != nil || r.Value != nil {
		return r, err
	}
	for address, partitions := range others {
		r, err := c.peer(address, store).find(ctx, partitions, absent.Key)
		if err != nil || r.Value != nil {
			return r, err
		}
	}
	return absent, nil
}

// findHere is find for this instance only. It can say that a row does not exist only
// if it has all partitions.
func (c Cluster) findHere(ctx context.Context, store string, absent topology.Raw) (topology.Raw, error) {
	r, others, err := c.findOwn(ctx, store, absent)
	if err == nil && r.Value == nil && len(others) > 0 {
		err = &rows.ElsewhereError{Err: errors.New("the topic is not partitioned by murmur2 of the key, so it can be in any partition")}
	}
	return r, err
}

// findOwn looks in this instance's partitions, and returns where else the row can
// be: nowhere, if keys do not stray.
func (c Cluster) findOwn(ctx context.Context, store string, absent topology.Raw) (r topology.Raw, others map[string][]int32, err error) {
	if strays, err := c.Here.Strays(ctx, store); err != nil || !strays {
		return absent, nil, err
	}
	own, others, err := c.shares(ctx, store)
	if err != nil {
		return absent, nil, err
	}
	if r, err = c.among(ctx, store, own, absent.Key); err == nil && r.Value == nil {
		r = absent
	}
	return r, others, err
}

// among looks for a row in the partitions that this instance is expected to have.
func (c Cluster) among(ctx context.Context, store string, own []int32, key []byte) (topology.Raw, error) {
	r, err := c.Here.Anywhere(ctx, store, key)
	if now := c.own(store); err == nil && r.Value == nil && !slices.Equal(now, own) {
		err = fmt.Errorf("%w: partitions of %q are moving", rows.ErrRestoring, store)
	}
	return r, err
}
