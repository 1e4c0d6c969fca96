// Package notify wakes goroutines that wait for something to happen.
package notify

import "sync"

// A Bell tells all who wait for it that something has happened. A waiter asks
// for the next ring first and looks at the state after that, so that it misses
// nothing. The zero value is ready; a Bell is safe for concurrent use.
type Bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil while nobody waits
}

// Next returns a channel that the next Ring closes.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// Ring wakes the waiters. It costs next to nothing if there are none.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
