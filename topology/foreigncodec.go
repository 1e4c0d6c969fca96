package topology

import "github.com/tidemark-dev/tidemark/topology/internal/wire"

// The codecs of what the sides of a JoinForeign send each other. Their names are in
// descriptions of topologies.
type (
	subscriptionCodec struct{}
	responseCodec     struct{}
)

func (subscriptionCodec) Encode(s wire.Subscription) ([]byte, error) { return s.Encode(), nil }

func (subscriptionCodec) Decode(data []byte) (wire.Subscription, error) {
	return wire.DecodeSubscription(data)
}

func (responseCodec) Encode(r wire.Response) ([]byte, error) { return r.Encode(), nil }

func (responseCodec) Decode(data []byte) (wire.Response, error) { return wire.DecodeResponse(data) }
