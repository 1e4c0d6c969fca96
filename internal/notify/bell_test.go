package notify_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/internal/notify"
)

func TestBellWakesThoseWhoWait(t *testing.T) {
	var b notify.Bell
	b.Ring() // for nobody
	first, second := b.Next(), b.Next()
	select {
	case <-first:
		t.Error("a ring of the past wakes a waiter")
	default:
	}
	b.Ring()
	<-first
	<-second
	select {
	case <-b.Next():
		t.Error("one ring wakes twice")
	default:
	}
}
