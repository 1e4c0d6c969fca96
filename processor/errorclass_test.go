package processor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// answers are the error codes that Kafka can answer to a request, by its sources:
// the error lists of the request's response classes, and those of group and
// transaction coordinators.
var answers = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {
		kerr.UnknownServerError, kerr.CorruptMessage, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition, kerr.RequestTimedOut,
		kerr.MessageTooLarge, kerr.NetworkException, kerr.InvalidTopicException, kerr.RecordListTooLarge, kerr.NotEnoughReplicas,
		kerr.NotEnoughReplicasAfterAppend, kerr.InvalidRequiredAcks, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.InvalidTimestamp, kerr.UnsupportedForMessageFormat, kerr.PolicyViolation, kerr.OutOfOrderSequenceNumber,
		kerr.DuplicateSequenceNumber, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping,
		kerr.TransactionalIDAuthorizationFailed, kerr.KafkaStorageError, kerr.UnknownProducerID, kerr.FencedLeaderEpoch,
		kerr.UnsupportedCompressionType, kerr.InvalidRecord, kerr.ThrottlingQuotaExceeded, kerr.TransactionAbortable, kerr.LeaderNotAvailable,
	},
	kmsg.AddPartitionsToTxn: {
		kerr.UnknownServerError, kerr.UnknownTopicOrPartition, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable,
		kerr.NotCoordinator, kerr.TopicAuthorizationFailed, kerr.InvalidProducerEpoch, kerr.InvalidTxnState,
		kerr.InvalidProducerIDMapping, kerr.ConcurrentTransactions, kerr.TransactionalIDAuthorizationFailed,
		kerr.OperationNotAttempted, kerr.ProducerFenced, kerr.TransactionAbortable,
	},
	kmsg.TxnOffsetCommit: {
		kerr.UnknownServerError, kerr.UnknownTopicOrPartition, kerr.RequestTimedOut, kerr.OffsetMetadataTooLarge,
		kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.IllegalGeneration,
		kerr.InvalidGroupID, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.InvalidCommitOffsetSize,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.InvalidProducerEpoch, kerr.InvalidTxnState,
		kerr.InvalidProducerIDMapping, kerr.TransactionalIDAuthorizationFailed, kerr.UnsupportedForMessageFormat,
		kerr.FencedInstanceID, kerr.ProducerFenced, kerr.TransactionAbortable,
	},
	kmsg.EndTxn: {
		kerr.UnknownServerError, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.ConcurrentTransactions,
		kerr.TransactionalIDAuthorizationFailed, kerr.ProducerFenced, kerr.TransactionAbortable,
	},
	kmsg.JoinGroup: {
		kerr.UnknownServerError, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.InconsistentGroupProtocol, kerr.InvalidGroupID, kerr.UnknownMemberID, kerr.InvalidSessionTimeout,
		kerr.GroupAuthorizationFailed, kerr.GroupMaxSizeReached, kerr.FencedInstanceID, kerr.RebalanceInProgress, kerr.UnsupportedVersion,
	},
	kmsg.Heartbeat: {
		kerr.UnknownServerError, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.IllegalGeneration, kerr.UnknownMemberID,
		kerr.RebalanceInProgress, kerr.GroupAuthorizationFailed, kerr.FencedInstanceID,
	},
	kmsg.Fetch: {
		kerr.UnknownServerError, kerr.OffsetOutOfRange, kerr.CorruptMessage, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition,
		kerr.ReplicaNotAvailable, kerr.TopicAuthorizationFailed, kerr.UnsupportedVersion, kerr.KafkaStorageError,
		kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.OffsetNotAvailable, kerr.UnknownTopicID, kerr.InconsistentTopicID,
		kerr.UnsupportedCompressionType,
	},
}

// Every code that can come back has a place in the table.
func TestEveryCodeHasAClass(t *testing.T) {
	for key, codes := range answers {
		for _, code := range codes {
			if class, _ := processor.Classify(fmt.Errorf("x: %w", sarama.KError(code.Code))); class == "unknown" {
				t.Errorf("%s answers %s, which is in no class", key.Name(), code.Message)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err   error
		class string
	}{
		{errors.New("?"), "unknown"},
		{sarama.KError(12345), "unknown"},
		{sarama.ErrRebalanceTimedOut, "passing"},
		{&topology.RecordError{Err: io.EOF}, "record"},
		{&kafka.RefusedError{Err: sarama.ErrInvalidRecord}, "record"},
		{&topology.RefusedError{Err: io.EOF}, "setup"},
		{io.EOF, "passing"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "passing"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EPERM)}, "passing"},
		{&os.PathError{Op: "open", Err: syscall.EPERM}, "setup"},
		{&net.DNSError{Name: "nowhere"}, "passing"},
		{context.DeadlineExceeded, "passing"},
		{syscall.ENOSPC, "passing"},
		{syscall.EROFS, "setup"},
		{errors.Join(sarama.ErrNotLeaderForPartition, sarama.ErrTopicAuthorizationFailed), "setup"},
		{errors.Join(context.Canceled, sarama.ErrUnknownTopicOrPartition), "lingering"},
	} {
		if got, _ := processor.Classify(fmt.Errorf("x: %w", c.err)); got != c.class {
			t.Errorf("%v is %s, want %s", c.err, got, c.class)
		}
	}
}

// Each code that a request can be answered with has the consequence of its
// class, on a running instance: what passes leaves nothing behind, what is
// somebody's to mend ends the instance with the cure.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	for key, codes := range answers {
		if key == kmsg.Fetch || key == kmsg.JoinGroup || key == kmsg.Heartbeat {
			continue // sarama's own: see TestGroupErrors
		}
		for _, code := range codes {
			t.Run(key.Name()+" "+code.Message, func(t *testing.T) {
				t.Parallel()
				class, cure := processor.Classify(sarama.KError(code.Code))
				c := newCluster(t, 1)
				c.create(texts.Name, 1, nil)
				c.create("out", 1, nil)
				c.produce(texts.Name, sized("a", 1))
				i := c.start(copies(t), writes(topology.Skip))
				c.drained("copies-copy", texts.Name)
				f := kfake.Fault{Keys: []kmsg.Key{key}, Err: code, Count: 1}
				if key == kmsg.Produce {
					f.Topic = "out"
				}
				fault := c.Fault(f)
				c.produce(texts.Name, sized("b", 1))
				if class == "setup" {
					if got := i.failed(); !strings.Contains(got, cure) {
						t.Errorf("error %q, want the cure %q", got, cure)
					}
					return
				}
				c.drained("copies-copy", texts.Name)
				if fault.Hits() != 1 {
					t.Errorf("%d faults", fault.Hits())
				}
				want := 2
				if class == "record" {
					want = 1 // it is the broker's word against the record
				}
				eventually(t, func() error {
					if n := len(c.read("out")); n != want {
						return fmt.Errorf("%d records, want %d", n, want)
					}
					return nil
				})
				if err := i.stop(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// What sarama's consumer group meets has the consequences of its class, too: at
// the start, and while records come in.
func TestGroupErrors(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.Heartbeat, kmsg.Fetch} {
		for _, code := range answers[key] {
			if key == kmsg.Fetch && code == kerr.OffsetOutOfRange {
				continue // see TestInputOutOfRange
			}
			t.Run(key.Name()+" "+code.Message, func(t *testing.T) {
				t.Parallel()
				class, cure := processor.Classify(sarama.KError(code.Code))
				c := newCluster(t, 1)
				c.create(texts.Name, 1, nil)
				c.create("out", 1, nil)
				f := kfake.Fault{Keys: []kmsg.Key{key}, Err: code, Count: 1}
				if key == kmsg.Fetch {
					f.Topic = texts.Name
				}
				fault := c.Fault(f)
				c.produce(texts.Name, sized("a", 1))
				i := c.start(copies(t), nil)
				if class == "setup" {
					if got := i.failed(); !strings.Contains(got, cure) {
						t.Errorf("error %q, want the cure %q", got, cure)
					}
					return
				}
				eventually(t, func() error {
					if fault.Hits() == 0 {
						return errors.New("there was no fault yet")
					}
					return nil
				})
				c.produce(texts.Name, sized("b", 1))
				c.drained("copies-copy", texts.Name)
				if n := len(c.read("out")); n != 2 {
					t.Errorf("%d records, want 2", n)
				}
				if err := i.stop(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A code of which nobody knows anything ends the instance.
func TestUnknownCode(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(texts.Name, 1, nil)
	c.create("out", 1, nil)
	i := c.start(copies(t), nil)
	i.await(processor.Running)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: &kerr.Error{Message: "NEW_TROUBLE", Code: 12345}})
	c.produce(texts.Name, sized("a", 1))
	if got := i.failed(); !strings.Contains(got, "12345") {
		t.Errorf("error %q", got)
	}
}

// docs/design.md describes the classes, with examples that are in them.
func TestErrorClassesAreDescribed(t *testing.T) {
	text, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| class | what it is | what happens | examples |\n| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("there is no such table in docs/design.md")
	}
	var described []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			break
		}
		class := strings.TrimSpace(cells[1])
		described = append(described, class)
		for _, name := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[4], -1) {
			code := codeNamed(name[1])
			if got, _ := processor.Classify(sarama.KError(code)); code == 0 || got != class {
				t.Errorf("%s, code %d, is %s, and described as %s", name[1], code, got, class)
			}
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(processor.ClassNames(), described); diff != "" {
		t.Errorf("classes (-there +described):\n%s", diff)
	}
}

// codeNamed returns the number of a code of Kafka's, 0 if there is none.
func codeNamed(name string) int16 {
	for code := int16(-1); code < 200; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name && e.Code == code {
			return code
		}
	}
	return 0
}
