package redis

import (
	"testing"
	"time"
)

// LookOften has a server's settings looked at in every call, until the test ends.
func LookOften(t *testing.T) {
	again, soon := lookAgain, lookSoon
	lookAgain, lookSoon = time.Nanosecond, time.Nanosecond
	t.Cleanup(func() { lookAgain, lookSoon = again, soon })
}
