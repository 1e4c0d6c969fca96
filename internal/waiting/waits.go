// Package waiting says what an instance is waiting for, in its log and its status.
package waiting

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	patience = 3 * time.Second  // before an expected wait is logged
	first    = 5 * time.Second  // until a wait is logged again; then twice as long each time
	every    = 30 * time.Second // but at least this often
	calm     = 5 * time.Second  // a wait that comes back sooner has not ended, for the log
)

// Waits are the things that an instance is waiting for. A wait is logged when it
// begins, while it lasts (after 5s, 15s, 35s, and then every 30s), and when it
// has ended and stays away for 5s. Several places, such as partitions, can wait
// for the same thing: that is one wait, from the first place that begins to the
// last that ends.
//
// Waits is safe for concurrent use, and may be called with any lock held: it
// calls nothing but the logger, and does so without its own lock.
type Waits struct {
	log *slog.Logger

	mu   sync.Mutex
	open map[string]*entry // by what
}

// An entry is a wait, until its end is logged.
type entry struct {
	wait   Wait
	places map[string]bool
	told   time.Time // when it was logged last, zero if it never was
	ended  time.Time // when the last place ended, zero while there is one
	next   time.Duration
	timer  *time.Timer
}

// New returns an empty list that logs what is waited for.
func New(log *slog.Logger) *Waits { return &Waits{log: log, open: map[string]*entry{}} }

// Set says that a place waits for something because of an error. The place is ""
// if there is only one. The wait is logged at once, and when the cause changes.
func (w *Waits) Set(what, place string, cause error) { w.set(what, place, cause.Error(), 0) }

// Expect says that a place waits for something that is usually there soon, and
// why it may not be. The wait is logged if it takes longer than 3s.
func (w *Waits) Expect(what, place, cause string) { w.set(what, place, cause, patience) }

// Clear says that a place no longer waits for something.
func (w *Waits) Clear(what, place string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.open[what]
	if e == nil || !e.places[place] {
		return
	}
	if delete(e.places, place); len(e.places) > 0 {
		return
	}
	if e.told.IsZero() {
		e.timer.Stop()
		delete(w.open, what)
		return
	}
	e.ended = time.Now()
	e.timer.Reset(calm)
}

// End forgets all waits and logs nothing.
func (w *Waits) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, e := range w.open {
		e.timer.Stop()
		delete(w.open, what)
	}
}

// List returns what is waited for, the longest wait first.
func (w *Waits) List() []Wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Wait
	for _, e := range w.open {
		if e.ended.IsZero() {
			all = append(all, e.wait)
		}
	}
	slices.SortFunc(all, func(a, b Wait) int { return a.Since.Compare(b.Since) })
	return all
}

func (w *Waits) set(what, place, cause string, patience time.Duration) {
	cause = Sentence(cause)
	w.mu.Lock()
	e := w.open[what]
	changed := e == nil || e.wait.Cause != cause
	if e == nil {
		e = &entry{wait: Wait{What: what, Since: time.Now()}, places: map[string]bool{}, next: first}
		e.timer = time.AfterFunc(cmp.Or(patience, e.next), func() { w.remind(e) })
		w.open[what] = e
	}
	if !e.ended.IsZero() { // it is back
		e.ended = time.Time{}
		e.timer.Reset(time.Until(e.told.Add(e.next)))
	}
	e.wait.Cause = cause
	e.places[place] = true
	tell := changed && patience == 0 && time.Since(e.told) > first/5
	if tell {
		e.told = time.Now()
	}
	told := e.wait
	w.mu.Unlock()
	if tell {
		w.tell(told)
	}
}

// remind logs a wait that goes on, or has ended. The entry's timer calls it.
func (w *Waits) remind(e *entry) {
	w.mu.Lock()
	if w.open[e.wait.What] != e {
		w.mu.Unlock()
		return
	}
	if !e.ended.IsZero() {
		delete(w.open, e.wait.What)
		w.mu.Unlock()
		w.log.Info("waits no longer", "for", e.wait.What, "waited", e.ended.Sub(e.wait.Since).Round(time.Millisecond))
		return
	}
	if !e.told.IsZero() {
		e.next = min(2*e.next, every)
	}
	e.told = time.Now()
	e.timer.Reset(e.next)
	told := e.wait
	w.mu.Unlock()
	w.tell(told)
}

func (w *Waits) tell(told Wait) {
	w.log.Warn("waiting", "for", told.What, "error", told.Cause, "since", time.Since(told.Since).Round(time.Second))
}

// Sentence returns an error's text on one line, which more can follow: sarama
// writes a line for each broker, and some of its errors end with a full stop.
func Sentence(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\n", "; "), ".: ", ": ")
	return strings.TrimSuffix(strings.ReplaceAll(text, ".; ", "; "), ".")
}
