package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// A Leader is the broker that leads a partition, as a broker says.
type Leader struct {
	Broker int32
	Epoch  int32 // counts the leaders of the partition; a broker that stood still has an old one
}

// Leaders asks all brokers that a client knows who leads the partitions of topics, and
// returns what the first of them answers. A partition that has no leader is left out.
func Leaders(ctx context.Context, client sarama.Client, topics []string) (map[string]map[int32]Leader, error) {
	of, err := first(ctx, client, func(b *sarama.Broker) (*sarama.MetadataResponse, error) {
		return b.GetMetadata(sarama.NewMetadataRequest(client.Config().Version, topics))
	})
	if err != nil {
		return nil, fmt.Errorf("leaders of %q: no broker answers: %w", topics, err)
	}
	return leaders(of), nil
}

// first asks all brokers at once, and returns what the first one answers: none of
// them is waited for, since any may hang. What the others do ends with the client.
func first[T any](ctx context.Context, client sarama.Client, request func(*sarama.Broker) (T, error)) (answered T, err error) {
	type result struct {
		answer T
		err    error
	}
	brokers := client.Brokers()
	results := make(chan result, len(brokers))
	for _, b := range brokers {
		go func() {
			_ = b.Open(client.Config()) // unless it is open
			answer, err := request(b)
			if lost(err) {
				_ = b.Close() // the next one to ask opens it again
			}
			results <- result{answer, err}
		}()
	}
	var errs []error
	for range brokers {
		select {
		case r := <-results:
			if r.err == nil {
				return r.answer, nil
			}
			errs = append(errs, r.err)
		case <-ctx.Done():
			return answered, ctx.Err()
		}
	}
	return answered, errors.Join(append(errs, sarama.ErrOutOfBrokers)...)
}

func leaders(of *sarama.MetadataResponse) map[string]map[int32]Leader {
	all := map[string]map[int32]Leader{}
	for _, t := range of.Topics {
		all[t.Name] = map[int32]Leader{}
		for _, p := range t.Partitions {
			if p.Leader >= 0 {
				all[t.Name][p.ID] = Leader{p.Leader, p.LeaderEpoch}
			}
		}
	}
	return all
}
