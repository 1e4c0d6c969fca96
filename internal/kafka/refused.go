package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// A ProduceError names the partition to which a batch could not be written.
type ProduceError struct {
	Topic     string
	Partition int32
	Err       error
}

func (e *ProduceError) Error() string {
	return fmt.Sprintf("producing to %s/%d: %v", e.Topic, e.Partition, e.Err)
}
func (e *ProduceError) Unwrap() error { return e.Err }

// A RefusedError names a record that a broker will not take while the topic has its
// settings.
type RefusedError struct {
	Topic      string
	Partition  int32
	Key, Value []byte
	Err        error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s/%d refuses the record with key %q and %d bytes: %v",
		e.Topic, e.Partition, e.Key[:min(len(e.Key), 200)], len(e.Value), e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// blamesRecord tells whether a broker refuses a batch because of what is in it.
// Such a batch is not in the log, and its sequence is still the next one.
func blamesRecord(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) ||
		errors.Is(err, sarama.ErrInvalidTimestamp) || errors.Is(err, sarama.ErrInvalidRecord)
}
