package topology

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Sink copies a table into an outside system. For each partition the target
// holds the rows and, beside them, an epoch (who writes) and a position (what
// is written), and changes all of them in one atomic step: that makes the copy
// exact. Epochs and positions are compared, nothing is computed from them.
//
// What a table is copied to belongs to its owner. A sink notes the owner there
// when a partition is first opened, in the step that takes the partition over,
// and both Open and Apply answer ErrForeign, with both names, and change nothing
// if somebody else is noted.
//
// Methods are called for several partitions at once, never twice at once for
// one partition. A sink must not repeat a call by itself: a copy that was
// stalled on the way could arrive after the next one. Any error but those named
// here is taken for a passing one, and the same call is made again, so every
// call may have happened already. A sink that is an io.Closer is closed when
// the processor has stopped, and may be used again by another one. One that has
// a method Validate() error is asked by Build whether its settings are right.
type Sink interface {
	// String names the sink and its target: "redis localhost:6379".
	fmt.Stringer

	// Open takes a partition over, or takes it up again. With epoch 0 it stores a
	// new epoch, later than any that was ever stored there, also if the target has
	// forgotten it (take the larger of the stored one plus 1 and the target's
	// clock in microseconds). With another epoch it stores that one again, or
	// returns ErrFenced if a later one is stored. The position stays as it is. A
	// late copy of a call with epoch 0 must not fence the call that came after it.
	Open(ctx context.Context, from Source, epoch int64) (Place, error)

	// Apply writes the rows and the position To in one atomic step, if the stored
	// epoch is the batch's and the stored position is its From. Otherwise it
	// changes nothing and returns, in this order, ErrForeign, ErrFenced if a later
	// epoch is stored, ErrDuplicate if the epoch is the batch's and the position is
	// To, else ErrGap. It must not keep the batch.
	//
	// A step that the target does not take because of its size is ErrTooLarge if it
	// has several rows. A row that can never be written is a *RowError: because it
	// is too large by itself, say, or because another row is kept under its name.
	Apply(ctx context.Context, batch Batch) error

	// Keys yields what the target holds of a table, in any order, of all
	// partitions; of the source it uses the table and the format. A row may come
	// more than once; one that is written or deleted meanwhile may be missing. An
	// error ends it.
	Keys(ctx context.Context, of Source) iter.Seq2[Held, error]
}

// A Source is one partition of a table. A target is found by Table and Partition.
type Source struct {
	Table     string // the store's name
	Partition int32

	// Owner is whose table it is.
	Owner Owner

	// Format writes its rows for readers outside. Nil if their bytes are to be kept.
	Format *Format
}

// String returns "table/partition".
func (s Source) String() string { return fmt.Sprintf("%s/%d", s.Table, s.Partition) }

// An Owner is an application on one Kafka cluster.
type Owner struct {
	Application string
	Cluster     string // Kafka's cluster id
}

// String returns `application "hello", cluster "MkU3OEVBNTcwNTJENDM2Qk"`.
func (o Owner) String() string {
	return fmt.Sprintf("application %q, cluster %q", o.Application, o.Cluster)
}

// Held is what a target holds of a table under one name.
type Held struct {
	// Name is what the target calls it, for Batch.Stale.
	Name []byte

	// Key is the row's. Nil if no row of the table is kept under this name: an
	// earlier format has left it there, or somebody else.
	Key []byte
}

// A Place is where a target stands.
type Place struct {
	Epoch    int64  // who may write
	Position string // what is written; "" if nothing is known
}

// A Batch is one step of a partition from one position to another. It holds
// each key at most once; a nil value means that the row is deleted. Without
// rows and with From equal to To it asks whether the target still stands there.
type Batch struct {
	Source
	Epoch    int64
	From, To string
	Rows     []Raw

	// Stale are names that Keys has shown without a key. What the target holds under
	// them is deleted in the same step.
	Stale [][]byte
}

// What a sink answers to a batch that it does not apply.
var (
	ErrForeign   = errors.New("the target belongs to somebody else")
	ErrFenced    = errors.New("a later owner writes this partition")
	ErrDuplicate = errors.New("the step was taken before")
	ErrGap       = errors.New("the target is not where it was left")
	ErrTooLarge  = errors.New("the step is too large")
)

// A RefusedError means that the target answers, and refuses until somebody
// changes something: a password, a permission, the type of a key. Its text
// names the cure.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// A RowError means that a sink can never write a row.
type RowError struct {
	Key []byte // as in the batch
	Err error  // why, and what to do
}

func (e *RowError) Error() string { return fmt.Sprintf("row %.100q: %v", e.Key, e.Err) }
func (e *RowError) Unwrap() error { return e.Err }
