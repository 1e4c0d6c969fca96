package processor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A class says what an error is about, and with that what is done about it. The
// table below is the only place that decides it.
type class int

const (
	// unknown errors are not in the table. They end the instance: an error that
	// nobody has thought of must not be repeated silently.
	unknown class = iota

	// passing errors pass by themselves: the instance says what it waits for, and
	// tries again from the last commit, without an end.
	passing

	// lingering errors mostly pass, and sometimes never: they are waited for as
	// passing ones are, but for no longer than StartTimeout. Then they are the
	// set-up's.
	lingering

	// recordError blames a record, whose policy decides: it is refused when it is
	// processed again, or ends the instance.
	recordError

	// storeError blames a store on the disk: the partition's directory is wiped, and
	// restored from the changelog.
	storeError

	// setupError is somebody's to mend: it ends the instance, with a sentence that
	// says what to do.
	setupError
)

var classNames = [...]string{"unknown", "passing", "lingering", "record", "store", "setup"}

func (c class) String() string { return classNames[c] }

// A verdict is a row of the table: what an error is, and what helps.
type verdict struct {
	err   error
	class class
	cure  string // "" if the error's own text says it
}

const grants = "grant what is missing (see \"Permissions\" in docs/cluster.md), or use another user"

// verdicts are looked through from the top, as an error may wrap several.
//
// Kafka's codes are those that Metadata, Produce, Fetch, ListOffsets,
// InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn,
// OffsetFetch, OffsetCommit, JoinGroup, SyncGroup, Heartbeat, LeaveGroup,
// CreateTopics and DescribeConfigs can answer, by the protocol's documentation of Kafka 4.1.
var verdicts = []verdict{
	// A store. First, as damage often is the end of a file.
	{store.ErrDamaged, storeError, ""}, // the store has noted it, and is wiped when it is opened

	// The set-up.
	{sarama.ErrTopicAuthorizationFailed, setupError, "the user lacks a right to the topic: to read, write, create or delete it, or to describe its configuration: " + grants},
	{sarama.ErrGroupAuthorizationFailed, setupError, "the user may not read the consumer group: " + grants},
	{sarama.ErrClusterAuthorizationFailed, setupError, "the user lacks a right to the cluster: " + grants},
	{sarama.ErrTransactionalIDAuthorizationFailed, setupError, "the user may not write with the transactional id: " + grants},
	{sarama.ErrSASLAuthenticationFailed, setupError, "are user, password and mechanism right?"},
	{sarama.ErrUnknownScramMechanism, setupError, "use SCRAM-SHA-256 or SCRAM-SHA-512"},
	{sarama.ErrDecompressedBatchTooLarge, setupError, "raise sarama.MaxDecompressedBatchSize"},
	{sarama.ErrUnsupportedSASLMechanism, setupError, "use one of the mechanisms in sasl.enabled.mechanisms of the brokers"},
	{sarama.ErrIllegalSASLState, setupError, "does this listener of the brokers expect SASL?"},
	{sarama.ErrSecurityDisabled, setupError, "the brokers have no authorizer"},
	{sarama.ErrDelegationTokenExpired, setupError, "renew the delegation token"},
	{sarama.ErrDelegationTokenNotFound, setupError, "is the delegation token right?"},
	{sarama.ErrOffsetMetadataTooLarge, setupError, "it holds the clocks of the task's windows, timers and joins, and a note on each table: raise offset.metadata.max.bytes of the brokers, which is 4096 by default"},
	{sarama.ErrInvalidCommitOffsetSize, setupError, "raise max.message.bytes of topic __consumer_offsets, which bounds the size of a commit"},
	{sarama.ErrInvalidTransactionTimeout, setupError, fmt.Sprintf("raise transaction.max.timeout.ms of the brokers to %d at least", transactionTimeout.Milliseconds())},
	{sarama.ErrInvalidSessionTimeout, setupError, "set SessionTimeout between group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers"},
	{sarama.ErrGroupMaxSizeReached, setupError, "raise group.max.size of the brokers, or run fewer instances"},
	{sarama.ErrInconsistentGroupProtocol, setupError, "does another program use this consumer group?"},
	{sarama.ErrInvalidGroupId, setupError, "choose another name for the application"},
	{sarama.ErrInvalidTopic, setupError, "a name has up to 249 letters, digits, dots, underscores and hyphens"},
	{sarama.ErrInvalidReplicationFactor, setupError, "is Replication, or default.replication.factor of the brokers, larger than the number of brokers that are up?"},
	{sarama.ErrInvalidPartitions, setupError, "choose another number of partitions"},
	{sarama.ErrInvalidConfig, setupError, "do the brokers know these topic settings, and allow the values?"},
	{sarama.ErrPolicyViolation, setupError, "a policy of the brokers forbids it (create.topic.policy.class.name): create the topic yourself, as the policy wants it"},
	{sarama.ErrInvalidRequiredAcks, setupError, "are these brokers Kafka's?"},
	{sarama.ErrUnsupportedVersion, setupError, "Kafka 2.8 or later is needed"},
	{sarama.ErrUnsupportedForMessageFormat, setupError, "set message.format.version of the topic to 0.11 or later"},
	{sarama.ErrUnsupportedCompressionType, setupError, "use another compression, in compression.type of the topic and in Config.Kafka"},
	{sarama.ErrInvalidRequest, setupError, "are these brokers Kafka's, and 2.8 or later?"},

	// A record.
	{sarama.ErrMessageSizeTooLarge, recordError, "raise max.message.bytes of the topic"},
	{sarama.ErrMessageSetSizeTooLarge, recordError, "raise segment.bytes of the topic"},
	{sarama.ErrInvalidTimestamp, recordError, "raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic (before Kafka 3.6 message.timestamp.difference.max.ms)"},
	{sarama.ErrInvalidRecord, recordError, "does the record have no key, and the topic cleanup.policy=compact?"},

	// What may pass.
	{sarama.ErrUnknownTopicOrPartition, lingering, "was the topic deleted?"},
	{kafka.ErrUnknownTopicID, lingering, "was the topic deleted?"},
	{kafka.ErrInconsistentTopicID, lingering, "was the topic made anew?"},
	{sarama.ErrFencedInstancedId, lingering, "does another process run with a copy of the state directory?"}, // and not twice, see mustEnd
	{sarama.ErrUnknown, lingering, "see the broker's log"},
	{sarama.ErrInvalidMessage, lingering, "is the broker's disk damaged?"},
	{sarama.ErrIncompleteResponse, lingering, "are these brokers Kafka's, and 2.8 or later?"},
	{sarama.ErrInsufficientData, lingering, "are these brokers Kafka's, and 2.8 or later?"},

	// What passes.
	{sarama.ErrNotEnoughReplicas, passing, "fewer replicas are in sync than min.insync.replicas of the topic: are brokers down?"},
	{sarama.ErrNotEnoughReplicasAfterAppend, passing, "fewer replicas are in sync than min.insync.replicas of the topic: are brokers down?"},
	{sarama.ErrKafkaStorageError, passing, "a disk of the broker has failed: see its log"},
	{sarama.ErrLogDirNotFound, passing, "a disk of the broker has failed: see its log"},
	{sarama.ErrConcurrentTransactions, passing, "the transaction before has not ended on all its partitions: are brokers down?"},
	{sarama.ErrThrottlingQuotaExceeded, passing, "the user's quota is used up"},
	{sarama.ErrOutOfBrokers, passing, ""},
	{sarama.ErrOffsetOutOfRange, passing, ""}, // of a changelog: the table is compared with it when it is opened. Of an input it ends the instance, see outOfRange.
	{sarama.ErrLeaderNotAvailable, passing, ""},
	{sarama.ErrNotLeaderForPartition, passing, ""},
	{sarama.ErrRequestTimedOut, passing, ""},
	{sarama.ErrBrokerNotAvailable, passing, ""},
	{sarama.ErrReplicaNotAvailable, passing, ""},
	{sarama.ErrNetworkException, passing, ""},
	{sarama.ErrOffsetsLoadInProgress, passing, ""},
	{sarama.ErrConsumerCoordinatorNotAvailable, passing, "are brokers down, or fewer than offsets.topic.replication.factor and transaction.state.log.replication.factor of the brokers?"},
	{sarama.ErrNotCoordinatorForConsumer, passing, ""},
	{sarama.ErrNotController, passing, ""},
	{sarama.ErrIllegalGeneration, passing, ""},
	{sarama.ErrUnknownMemberId, passing, ""},
	{sarama.ErrRebalanceInProgress, passing, ""},
	{sarama.ErrMemberIdRequired, passing, ""},
	{sarama.ErrUnstableOffsetCommit, passing, ""},
	{sarama.ErrOutOfOrderSequenceNumber, passing, ""}, // the session's producer is at an end, its successor begins anew
	{sarama.ErrDuplicateSequenceNumber, passing, ""},
	{sarama.ErrInvalidProducerEpoch, passing, ""},
	{sarama.ErrInvalidTxnState, passing, ""},
	{sarama.ErrInvalidProducerIDMapping, passing, ""},
	{sarama.ErrUnknownProducerID, passing, ""},
	{sarama.ErrProducerFenced, passing, ""},
	{sarama.ErrTransactionCoordinatorFenced, passing, ""},
	{sarama.ErrOperationNotAttempted, passing, ""},
	{kafka.ErrTransactionAbortable, passing, ""},
	{sarama.ErrFencedLeaderEpoch, passing, ""},
	{sarama.ErrUnknownLeaderEpoch, passing, ""},
	{sarama.ErrOffsetNotAvailable, passing, ""},
	{sarama.ErrListenerNotFound, passing, ""},
	{sarama.ErrFetchSessionIDNotFound, passing, ""},
	{sarama.ErrInvalidFetchSessionEpoch, passing, ""},
	{sarama.ErrReassignmentInProgress, passing, ""},
	{sarama.ErrPreferredLeaderNotAvailable, passing, ""},
	{sarama.ErrEligibleLeadersNotAvailable, passing, ""},
	{sarama.ErrTopicAlreadyExists, passing, ""},
	{sarama.ErrInvalidMessageSize, passing, ""},

	// sarama's own, and the connection's.
	{sarama.ErrRebalanceTimedOut, passing, "a commit lasts for longer than a rebalance may: is a broker down?"},
	{sarama.ErrSessionConsumeClaimExited, passing, ""},
	{sarama.ErrSessionHeartbeatFailed, passing, "is the group's coordinator down?"},
	{sarama.ErrSessionPartitionCountChanged, passing, ""}, // the next session looks at the topic
	{sarama.ErrClosedClient, passing, ""},
	{sarama.ErrClosedConsumerGroup, passing, ""},
	{sarama.ErrNotConnected, passing, ""},
	{sarama.ErrBrokerNotFound, passing, ""},
	{sarama.ErrControllerNotAvailable, passing, ""},
	{sarama.ErrShuttingDown, passing, ""},
	{sarama.ErrNoTopicsToUpdateMetadata, passing, ""},
	{io.EOF, passing, ""},
	{io.ErrUnexpectedEOF, passing, ""},
	{net.ErrClosed, passing, ""},
	{os.ErrDeadlineExceeded, passing, ""},
	{context.DeadlineExceeded, passing, ""},
	{context.Canceled, passing, ""},
	{errSessionOver, passing, ""},
	{errMembershipEnded, passing, ""},

	// The disk's.
	{syscall.ENOSPC, passing, "make room on the disk of the state directory"},
	{syscall.EDQUOT, passing, "raise the quota of the state directory's disk"},
	{syscall.EMFILE, passing, "raise the limit of open files (ulimit -n)"},
	{syscall.ENFILE, passing, "raise the system's limit of open files"},
	{syscall.EROFS, setupError, "the state directory is on a disk that is read-only"},
	{syscall.EACCES, setupError, "may this user write to the state directory?"},
	{syscall.EPERM, setupError, "may this user write to the state directory?"},
	{syscall.EIO, setupError, "the disk of the state directory fails: use another"},
}

// A staleError says that what a session began with is not so any more. It
// passes: the next one begins with what is.
type staleError struct{ error }

func (e *staleError) Unwrap() error { return e.error }

// classify returns what an error is, and what helps: "" if its own text says so.
func classify(err error) (class, string) {
	switch {
	case as[*startError](err), as[*stopError](err), as[*topology.RefusedError](err):
		return setupError, ""
	case as[*topology.RecordError](err):
		return recordError, ""
	case as[*staleError](err):
		return passing, ""
	case as[*net.OpError](err) && errors.Is(err, fs.ErrPermission):
		return passing, "does a firewall forbid the connection?"
	case as[sarama.PacketDecodingError](err):
		return lingering, "are these brokers Kafka's, and 2.8 or later?"
	case as[*tls.CertificateVerificationError](err), as[tls.RecordHeaderError](err):
		return setupError, "do brokers and settings agree about TLS, and is the certificate known?"
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return v.class, v.cure
		}
	}
	if as[net.Error](err) || as[*net.OpError](err) {
		return passing, ""
	}
	return unknown, ""
}

// passes tells whether an error passes by itself, where it is.
func passes(err error) bool {
	c, _ := classify(err)
	return c == passing
}

// lingers tells for how long there have been only errors that mostly pass.
type lingers struct {
	since    time.Time // zero if the last error was another one
	progress int64     // by then
}

// tooLong tells whether an error of a class has to be given up: what mostly passes
// has not, for as long as there is patience, and without any progress.
func (l *lingers) tooLong(c class, progress int64, patience time.Duration) bool {
	if c != lingering || progress != l.progress {
		*l = lingers{progress: progress}
	}
	if c == lingering && l.since.IsZero() {
		l.since = time.Now()
	}
	return c == setupError || c == lingering && time.Since(l.since) > patience
}

// cured is an error with what helps against it.
func cured(err error) error {
	if _, cure := classify(err); cure != "" {
		return fmt.Errorf("%w: %s", err, cure)
	}
	return err
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
