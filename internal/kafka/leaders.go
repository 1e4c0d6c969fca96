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
// returns what the first of them answers: none of them is waited for, since any may
// hang. A partition that has no leader is left out.
func Leaders(ctx context.Context, client sarama.Client, topics []string) (map[string]map[int32]Leader, error) {
	type answer struct {
		of  *sarama.MetadataResponse
		err error
	}
	brokers := client.Brokers()
	answers := make(chan answer, len(brokers))
	for _, b := range brokers {
		go func() {
			_ = b.Open(client.Config())
			of, err := b.GetMetadata(sarama.NewMetadataRequest(client.Config().Version, topics))
			if err != nil {
				_ = b.Close() // the next one to ask opens it again
			}
			answers <- answer{of, err}
		}()
	}
	var errs []error
	for range brokers {
		select {
		case a := <-answers:
			if a.err == nil {
				return leaders(a.of), nil
			}
			errs = append(errs, a.err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("leaders of %q: no broker answers: %w", topics, errors.Join(append(errs, sarama.ErrOutOfBrokers)...))
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
