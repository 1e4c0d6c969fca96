package kafka

import "github.com/IBM/sarama"

// Kafka's error codes for which sarama has no name.
const (
	ErrUnknownTopicID       sarama.KError = 100 // UNKNOWN_TOPIC_ID
	ErrInconsistentTopicID  sarama.KError = 103 // INCONSISTENT_TOPIC_ID
	ErrTransactionAbortable sarama.KError = 120 // TRANSACTION_ABORTABLE
)
