package processor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/inputs"
)

// A groupClient is the consumer group's, which is not to fetch: to it each offset is in
// the log. The fetcher finds out.
type groupClient struct{ sarama.Client }

func (groupClient) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetOldest {
		return 0, nil
	}
	return math.MaxInt64, nil
}

// startFetching begins to fetch the session's inputs, with a client of their own. It
// goes on until stop is called, which waits for no broker.
func (s *session) startFetching(ctx context.Context) (stop func(), err error) {
	client, err := s.processor.kafka().ConnectFetcher(ctx)
	if err != nil {
		return nil, err
	}
	s.fetcher = inputs.NewFetcher(client.Sarama, s.fetched)
	uncut := context.AfterFunc(s.ctx, client.Cut)
	return func() {
		uncut()
		_ = client.Close()
		s.fetcher.Close()
	}, nil
}

// fetched is told that an input cannot be read, for how long, or can again. It returns
// an error if the input need not be tried any more.
func (s *session) fetched(in *inputs.Input, err error, since time.Time) error {
	what := "records of " + s.member.String()
	switch {
	case s.ctx.Err() != nil:
	case err == nil:
		s.processor.waits.Clear(what, in.String())
	case errors.Is(err, sarama.ErrOffsetOutOfRange):
		err = s.outOfRange(in, err)
		if time.Since(since) < inputs.StaleLeader {
			s.processor.waits.Set(what, in.String(), err)
			return nil
		}
		s.fail(&startError{err})
		return err
	case !passes(err):
		s.fail(fmt.Errorf("fetching from %s: %w", in, sentence{err}))
		return err
	default:
		s.processor.waits.Set(what, in.String(), fmt.Errorf("%w: is a broker down?", sentence{err}))
	}
	return nil
}

// outOfRange says how to go on when the records that come next are not there.
func (s *session) outOfRange(in *inputs.Input, err error) error {
	return fmt.Errorf("partition %d of %q: the records that group %q reads next are not there: they were deleted before they were processed (retention.ms, retention.bytes), or the topic was made anew: %w. "+
		"To go on without them, stop all instances and run: kafka-consumer-groups.sh --bootstrap-server %s --group %s --topic %s:%d --reset-offsets --to-earliest --execute",
		in.Partition(), in.Topic(), s.group.Name, err, s.processor.config.Brokers[0], s.group.Name, in.Topic(), in.Partition())
}
