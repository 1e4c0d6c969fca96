package processor

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A Wait is something that an instance is waiting for.
type Wait struct {
	What  string    `json:"what"`            // "Kafka at localhost:9092"
	Cause string    `json:"cause,omitempty"` // why it is not there, and what helps
	Since time.Time `json:"since"`
}

// String is a sentence: what, for how long, and why.
func (w Wait) String() string {
	text := fmt.Sprintf("waiting for %s for %v", w.What, time.Since(w.Since).Round(time.Second))
	if w.Cause != "" {
		text += ": " + w.Cause
	}
	return text
}

const (
	waitPatience = 3 * time.Second  // before an ordinary wait is logged
	waitFirst    = 5 * time.Second  // until a wait is logged again; then twice as long each time
	waitEvery    = 30 * time.Second // but at least this often
	waitCalm     = 5 * time.Second  // one that comes back sooner has not ended, for the log
)

// waits are the things that an instance is waiting for. A wait is logged when it
// begins, while it lasts (after 5s, 15s, 35s, and then every 30s), and when it
// has ended and stays away for waitCalm. Several places, such as partitions, can wait for the same thing: that
// is one wait, from the first place that begins to the last that ends.
//
// waits is safe for concurrent use, also with other locks held: it calls nothing
// but the logger, and that without its own lock.
type waits struct {
	log *slog.Logger

	mu   sync.Mutex
	open map[string]*waiting // by what
}

// waiting is a wait that has not ended.
type waiting struct {
	Wait
	places map[string]bool
	told   time.Time // when it was logged last, zero if it never was
	ended  time.Time // when the last place ended, zero while there is one
	next   time.Duration
	timer  *time.Timer
}

func newWaits(log *slog.Logger) *waits { return &waits{log: log, open: map[string]*waiting{}} }

// set says that a place, "" if there is only one, waits for something because
// of an error. It is logged at once, and when the cause changes.
func (w *waits) set(what, place string, cause error) { w.wait(what, place, cause.Error(), 0) }

// expect says that a place waits for something that is usually there soon, and
// why it may not be. It is logged if it takes longer than waitPatience.
func (w *waits) expect(what, place, cause string) { w.wait(what, place, cause, waitPatience) }

// clear says that a place does not wait for something any more, if it did.
func (w *waits) clear(what, place string) {
	w.mu.Lock()
	e := w.open[what]
	if e == nil || !e.places[place] {
		w.mu.Unlock()
		return
	}
	if delete(e.places, place); len(e.places) > 0 {
		w.mu.Unlock()
		return
	}
	if e.told.IsZero() {
		e.timer.Stop()
		delete(w.open, what)
	} else {
		e.ended = time.Now()
		e.timer.Reset(waitCalm)
	}
	w.mu.Unlock()
}

// end forgets all waits, without a word.
func (w *waits) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, e := range w.open {
		e.timer.Stop()
		delete(w.open, what)
	}
}

// list returns what is waited for, what began first at the front.
func (w *waits) list() []Wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Wait
	for _, e := range w.open {
		if e.ended.IsZero() {
			all = append(all, e.Wait)
		}
	}
	slices.SortFunc(all, func(a, b Wait) int { return a.Since.Compare(b.Since) })
	return all
}

func (w *waits) wait(what, place, cause string, patience time.Duration) {
	cause = asSentence(cause)
	w.mu.Lock()
	e := w.open[what]
	changed := e == nil || e.Cause != cause
	if e == nil {
		e = &waiting{Wait: Wait{What: what, Since: time.Now()}, places: map[string]bool{}, next: waitFirst}
		e.timer = time.AfterFunc(cmp.Or(patience, e.next), func() { w.remind(e) })
		w.open[what] = e
	}
	if !e.ended.IsZero() { // it is back
		e.ended = time.Time{}
		e.timer.Reset(time.Until(e.told.Add(e.next)))
	}
	e.Cause = cause
	e.places[place] = true
	tell := changed && patience == 0 && time.Since(e.told) > waitFirst/5
	if tell {
		e.told = time.Now()
	}
	told := e.Wait
	w.mu.Unlock()
	if tell {
		w.tell(told)
	}
}

// remind logs a wait that goes on, or has ended.
func (w *waits) remind(e *waiting) {
	w.mu.Lock()
	if w.open[e.What] != e {
		w.mu.Unlock()
		return
	}
	if !e.ended.IsZero() {
		delete(w.open, e.What)
		w.mu.Unlock()
		w.log.Info("waits no longer", "for", e.What, "waited", e.ended.Sub(e.Since).Round(time.Millisecond))
		return
	}
	if !e.told.IsZero() {
		e.next = min(2*e.next, waitEvery)
	}
	e.told = time.Now()
	e.timer.Reset(e.next)
	told := e.Wait
	w.mu.Unlock()
	w.tell(told)
}

func (w *waits) tell(told Wait) {
	w.log.Warn("waiting", "for", told.What, "error", told.Cause, "since", time.Since(told.Since).Round(time.Second))
}
