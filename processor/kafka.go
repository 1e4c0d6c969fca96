package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// kafka says how clients reach the brokers.
func (p *Processor) kafka() kafka.Config {
	return kafka.Config{Brokers: p.config.Brokers, Name: p.topology.Application(), Program: p.config.Kafka}
}

// connect returns a client, however long Kafka takes to be there, within
// StartTimeout.
func (p *Processor) connect(ctx context.Context) (*kafka.Client, error) {
	at := "Kafka at " + strings.Join(p.config.Brokers, ",")
	budget, cancel := context.WithTimeout(ctx, p.config.StartTimeout)
	defer cancel()
	p.waits.Expect(at, "", noAnswer)
	last := errors.New(noAnswer)
	for ctx.Err() == nil {
		client, err := p.kafka().Connect(budget)
		if err == nil {
			p.waits.Clear(at, "")
			return client, nil
		}
		if c, _ := classify(err); c == setupError {
			return nil, fmt.Errorf("%s: %w", at, cured(sentence{err}))
		}
		if budget.Err() == nil {
			last = explain(err)
			p.waits.Set(at, "", last)
		}
		if sleep(budget, 500*time.Millisecond) != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("%s: %w (tried for %v)", at, last, p.config.StartTimeout)
		}
	}
	return nil, ctx.Err()
}

const noAnswer = "no answer: are these the addresses of its brokers, and does it want TLS?"

// explain names the usual cause of errors that do not.
func explain(err error) error {
	err = sentence{err}
	switch {
	case errors.Is(err, sarama.ErrOutOfBrokers) && errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the broker closed the connection: does it want TLS or SASL, or refuse the password?", err)
	case errors.Is(err, sarama.ErrOutOfBrokers):
		return fmt.Errorf("%w: is it running, and are these its advertised addresses?", err)
	}
	return err
}

// A sentence is an error on one line, which more can follow: sarama writes a line
// for each broker, and some of its errors end with a full stop.
type sentence struct{ error }

func (s sentence) Error() string { return asSentence(s.error.Error()) }
func (s sentence) Unwrap() error { return s.error }

func asSentence(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\n", "; "), ".: ", ": ")
	return strings.TrimSuffix(strings.ReplaceAll(text, ".; ", "; "), ".")
}

// sleep waits, unless ctx is done first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
