package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// A Holder is one of the producers that a transactional id has had: each start
// with the id gets a new epoch.
type Holder struct {
	ID       string
	Producer int64
	Epoch    int16
}

// String returns a text that ParseHolder reads.
func (h Holder) String() string { return fmt.Sprintf("%s@%d.%d", h.ID, h.Producer, h.Epoch) }

// ParseHolder reads the text of a Holder. A bare transactional id means any of
// its producers.
func ParseHolder(text string) Holder {
	any := Holder{ID: text, Producer: -1, Epoch: -1}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return any
	}
	pid, epoch, _ := strings.Cut(text[at+1:], ".")
	producer, err := strconv.ParseInt(pid, 10, 64)
	e, err2 := strconv.ParseInt(epoch, 10, 16)
	if err != nil || err2 != nil {
		return any
	}
	return Holder{text[:at], producer, int16(e)}
}

// Holder is who the producer is.
func (p *Producer) Holder() Holder { return Holder{p.id, p.pid, p.epoch} }

// Fence aborts what a holder left open; brokers refuse what the holder still sends. If
// its id has a newer producer, nothing is left to do: the newer one fenced it. But a
// broker looks at the epoch only while no transaction of the id is open: the caller has
// to know that no newer producer is at work.
func Fence(ctx context.Context, client sarama.Client, h Holder, timeout time.Duration) error {
	_, err := initProducer(ctx, client, ofTransaction(client, h.ID), h, timeout)
	for _, over := range []error{nil, sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch, sarama.ErrInvalidProducerIDMapping} {
		if errors.Is(err, over) {
			return nil
		}
	}
	return fmt.Errorf("fencing %q: %w", h.ID, err)
}
