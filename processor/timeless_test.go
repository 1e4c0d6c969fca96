package processor_test

import (
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A record without a time, which Kafka writes as -1, is refused. No producer can send
// it as it was, and it goes to the dead letters all the same.
func TestDeadLetterWithoutTime(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	timeless := greeting(1, 1)
	timeless.Time = time.UnixMilli(-1)
	c.produce(journal.Name, timeless, greeting(2, 2))
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.Policies = topology.Policies{Decode: topology.DeadLetter, Process: topology.DeadLetter}
	})
	c.drained("hello-"+hellos.Name, journal.Name)
	letters := c.read("hello-dead-letters")
	if len(letters) != 1 || string(letters[0].Key) != string(timeless.Key) || time.Since(letters[0].Time) > time.Minute {
		t.Errorf("dead letters are %v", letters)
	}
	if n := i.Status().Counts.Sessions; n != 1 {
		t.Errorf("the instance has joined %d times", n)
	}
}
