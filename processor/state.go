package processor

import (
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A State is a stage in a processor's life.
type State int

// States. Stopped and Failed are final.
const (
	Starting    State = iota // Kafka, the topics and the sinks are being reached
	Restoring                // some of the tasks read their changelogs
	Running                  // every partition that the instance has is processed
	Rebalancing              // the group is sharing out its partitions
	Stopping                 // what was begun is being committed
	Stopped                  // Run has returned nil
	Failed                   // Run has returned an error
)

var stateNames = [...]string{"starting", "restoring", "running", "rebalancing", "stopping", "stopped", "failed"}

// String returns the state's name in lower case.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a state", text)
}

// A Wait is something that an instance is waiting for: What, its Cause, and Since
// when. Its String is a sentence.
type Wait = waiting.Wait

// Status is what an instance is doing.
type Status struct {
	Application string         `json:"application"`
	Instance    string         `json:"instance"` // the group.instance.id
	State       State          `json:"state"`
	Err         string         `json:"error,omitempty"`   // why it failed
	Waiting     []Wait         `json:"waiting,omitempty"` // what it is waiting for, the longest first
	Tasks       []TaskStatus   `json:"tasks"`             // by group, partition and table
	Globals     []GlobalStatus `json:"globals,omitempty"` // by table
	Counts      Counts         `json:"counts"`
}

// Counts are numbers since the start of the process. Records counts what is
// committed; what effects it had is counted as it is processed, so that records
// that are processed again, after a transaction was aborted, count twice there.
type Counts struct {
	Records        int64         `json:"records"`          // processed and committed, those that are dropped or refused among them
	Rows           int64         `json:"rows"`             // written to changelogs
	Published      int64         `json:"published"`        // records written to output and repartition topics, and to the dead letters
	Dropped        int64         `json:"dropped"`          // records that a step left out: the sum of the next three
	DroppedNoKey   int64         `json:"dropped_no_key"`   // that have no key where one is needed
	DroppedNoValue int64         `json:"dropped_no_value"` // that have no value where a function needs one
	DroppedLate    int64         `json:"dropped_late"`     // that came too late for their windows or joins
	Skipped        int64         `json:"skipped"`          // records refused, by policy Skip; of global tables, by DeadLetter too
	DeadLetters    int64         `json:"dead_letters"`     // records refused, by policy DeadLetter
	Commits        int64         `json:"commits"`          // transactions
	CommitTime     time.Duration `json:"commit_time"`      // of all of them
	Sessions       int64         `json:"sessions"`         // times that the group was joined afresh
	Restored       int64         `json:"restored"`         // changelog records read by restores
	SinkRows       int64         `json:"sink_rows"`        // rows written to sinks
	SinkSteps      int64         `json:"sink_steps"`       // batches written to sinks
	SinkRebuilds   int64         `json:"sink_rebuilds"`    // times that a target had lost its place, and was filled again
}

// TaskStatus is what a task is doing with one of its tables, and how far its
// inputs, its restore and its sinks are behind. A task without a table has one,
// too.
type TaskStatus struct {
	Group     string              `json:"group"`
	Table     string              `json:"table"` // the store's name, "" if the task keeps no table
	Partition int32               `json:"partition"`
	State     State               `json:"state"`     // Restoring or Running
	Committed []topology.Position `json:"committed"` // of the inputs, by topic
	Lag       int64               `json:"lag"`       // offsets of the inputs that are still to process
	Restore   int64               `json:"restore"`   // changelog offsets still to read
	Sinks     []SinkStatus        `json:"sinks"`
}

// status is what the task is doing: for each table, or else as a whole.
func (t *task) status() (lines []TaskStatus) {
	whole := TaskStatus{
		Group: t.group.Name, Partition: t.partition, State: Restoring,
		Committed: []topology.Position{}, Sinks: []SinkStatus{},
	}
	if t.ready() {
		whole.State = Running
	}
	for _, in := range t.claims() {
		whole.Committed = append(whole.Committed, in.Position())
		whole.Lag += in.Lag()
	}
	for _, k := range t.stores {
		if k.Table {
			lines = append(lines, k.status(whole))
		}
	}
	if lines == nil {
		lines = append(lines, whole)
	}
	for _, k := range t.stores {
		if !k.Table { // what a step keeps for itself
			lines[0].Restore += max(0, k.left.Load())
		}
	}
	return lines
}

func (k *kept) status(s TaskStatus) TaskStatus {
	s.Table, s.Restore = k.Name, max(0, k.left.Load())
	for _, f := range k.followers {
		s.Sinks = append(s.Sinks, SinkStatus(f.Status()))
	}
	return s
}

// SinkStatus is how far a sink is behind.
type SinkStatus struct {
	Sink string `json:"sink"`
	Lag  int64  `json:"lag"`             // changelog offsets
	Err  string `json:"error,omitempty"` // what it is waiting for
}

// GlobalStatus is how far a global table is.
type GlobalStatus struct {
	Table      string `json:"table"`
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	State      State  `json:"state"`           // Restoring or Running
	Restore    int64  `json:"restore"`         // offsets still to read before tasks may look at it
	Lag        int64  `json:"lag"`             // offsets to the end of the topic
	Err        string `json:"error,omitempty"` // what it is waiting for
}
