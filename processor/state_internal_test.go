package processor

import (
	"slices"
	"testing"
	"testing/synctest"
)

// A processor that runs for months keeps nothing of its past, and one who
// watches slowly misses no state.
func TestStatesAreKeptForWatchersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l life
		for range 1000 {
			l.set(Running, nil)
			l.set(Rebalancing, nil)
		}
		if n := len(l.watches); n != 0 {
			t.Errorf("%d watches before any", n)
		}
		var seen []State
		slow, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for s := range l.states(t.Context()) {
				seen = append(seen, s)
				<-slow
			}
		}()
		synctest.Wait()
		l.set(Running, nil)
		l.set(Rebalancing, nil)
		l.set(Running, nil)
		l.finish(nil)
		close(slow)
		<-ended
		if want := []State{Rebalancing, Running, Rebalancing, Running, Stopped}; !slices.Equal(seen, want) {
			t.Errorf("seen %v, want %v", seen, want)
		}
		if n := len(l.watches); n != 0 {
			t.Errorf("%d watches are left", n)
		}
	})
}
