package topology

import (
	"fmt"
	"runtime"
	"strings"
)

// A Reader looks up a row as the records before have left it, nil if there is
// none. The task does not keep the bytes.
type Reader interface {
	Get(key []byte) ([]byte, error)
}

// A Task runs one partition of a group. It does no I/O but reading rows: the
// same rows and records give the same writes. It is not safe for concurrent use.
type Task struct {
	group    *Group
	rows     Reader
	policies Policies
	start    func() error

	record Raw // the one in process
	writes Writes

	// What runs, for the error that a panic becomes. At is nil while the Reader does.
	at     *node
	policy Policy
}

// Process passes a record through every step that it feeds. The slices Rows and
// Records are used again by the next call; the bytes in them are the record's,
// or new. An error is a *RecordError if the record is to blame, and leaves
// nothing behind; any other comes from the Reader.
func (k *Task) Process(r Raw) (w Writes, err error) {
	defer func() {
		if p := recover(); p != nil {
			w, err = Writes{}, k.panicked(p)
		}
	}()
	k.record = r
	k.writes = Writes{Rows: k.writes.Rows[:0], Records: k.writes.Records[:0]}
	if err := k.start(); err != nil {
		return Writes{}, err
	}
	return k.writes, nil
}

// Writes are the effects of one record, in order. The caller makes them durable.
type Writes struct {
	Rows    []Raw // of the table; a nil value deletes. Key, Value and Time are set
	Records []Raw // to publish. Topic, Key, Value, Time and Headers are set

	// Dropped says that a step left the record out: it has no key where one is
	// needed, or no value where a function needs one.
	Dropped bool
}

// refuse returns the error of a step that blames the record.
func (k *Task) refuse(at *node, p Policy, err error) error {
	return &RecordError{Position: k.record.Position, Node: at.name, Policy: p, Err: err}
}

func (k *Task) panicked(p any) error {
	err, ok := p.(error)
	if !ok {
		err = fmt.Errorf("%v", p)
	}
	err = fmt.Errorf("panic%s: %w", panicSite(), err)
	if k.at == nil {
		return err
	}
	return k.refuse(k.at, k.policy, err)
}

// panicSite returns " at <file>:<line>" of the panic that is being recovered
// from.
func panicSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf(" at %s:%d", f.File[strings.LastIndexByte(f.File, '/')+1:], f.Line)
		}
		if !more {
			return ""
		}
	}
}
