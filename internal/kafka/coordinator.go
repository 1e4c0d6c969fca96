package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/IBM/sarama"
)

// A coordinator is the broker that keeps a group or a transaction.
type coordinator struct {
	find    func() (*sarama.Broker, error)
	refresh func() error
}

func ofGroup(client sarama.Client, group string) coordinator {
	return coordinator{
		func() (*sarama.Broker, error) { return client.Coordinator(group) },
		func() error { return client.RefreshCoordinator(group) },
	}
}

func ofTransaction(client sarama.Client, id string) coordinator {
	return coordinator{
		func() (*sarama.Broker, error) { return client.TransactionCoordinator(id) },
		func() error { return client.RefreshTransactionCoordinator(id) },
	}
}

const (
	busyPause  = time.Millisecond      // the transaction before is being ended
	movedPause = 50 * time.Millisecond // a broker takes over, or reads its log
)

// ask asks a coordinator something that may be asked twice. While the coordinator is
// busy with the transaction before it is asked again; if it has moved, or its answer
// is lost, the new one is looked for and asked, until patience is over. A request
// that is given up with ctx goes on until its client is closed: it must not write
// what others read.
func ask[T any](ctx context.Context, c coordinator, patience time.Duration, request func(*sarama.Broker) (T, error)) (T, error) {
	for began := time.Now(); ; {
		answer, err := Call(ctx, func() (T, error) { return askOnce(c, request) })
		if err == nil || ctx.Err() != nil || time.Since(began) > patience {
			return answer, err
		}
		switch {
		case errors.Is(err, sarama.ErrConcurrentTransactions):
			_ = pause(ctx, busyPause)
		case moved(err) || lost(err):
			_ = pause(ctx, movedPause)
			_, _ = Call(ctx, func() (any, error) { return nil, c.refresh() }) // if it fails, so does the next request
		default:
			return answer, err
		}
	}
}

func askOnce[T any](c coordinator, request func(*sarama.Broker) (T, error)) (T, error) {
	b, err := c.find()
	if err != nil {
		var none T
		return none, err
	}
	answer, err := request(b)
	if lost(err) {
		_ = b.Close() // the next one to ask opens it again
		err = fmt.Errorf("%w (coordinator %s)", err, b.Addr())
	}
	return answer, err
}

// moved tells whether a broker refuses a request because another one has to be
// asked, or will have to be soon.
func moved(err error) bool {
	code, ok := errors.AsType[sarama.KError](err)
	if !ok {
		return false
	}
	switch code {
	case sarama.ErrNotCoordinatorForConsumer, sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable, sarama.ErrBrokerNotAvailable,
		sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrKafkaStorageError,
		sarama.ErrRequestTimedOut, sarama.ErrNetworkException:
		return true
	}
	return false
}

// lost tells whether a request, or its answer, was lost on its way: the connection
// broke, could not be made, or was silent for too long.
func lost(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, sarama.ErrNotConnected, sarama.ErrBrokerNotFound, sarama.ErrOutOfBrokers} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// answer is the error that a broker's code stands for.
func answer(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return nil
	}
	return code
}

// pause waits, unless ctx is done first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
