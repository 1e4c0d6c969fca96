package processor

import "sync"

// A bell tells all who wait for it that something has happened. One who waits
// asks for the next ring first, and only then looks at what may have happened,
// so that nothing is missed. The zero value is ready; it is safe for concurrent use.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil while nobody waits
}

// next returns a channel that the next ring closes.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// ring costs next to nothing if nobody waits.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
