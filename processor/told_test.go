package processor

import (
	"context"
	"log/slog"
	"testing"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A static member that is restarted within its session is given its old assignment
// again, and with it what the leader said then. An order to stop is of the past.
func TestToldInFormerLife(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		stops bool
	}{
		"to this life":     {`{"for":"@0.0","stop":"enough"}`, true},
		"to a former life": {`{"for":"@0.-1","stop":"enough"}`, false},
		"refused":          {`{"for":"@0.0","refused":"a stranger"}`, true},
		"garbage":          {`{`, true},
	} {
		s := &session{
			member:   &member{processor: &Processor{}, group: &topology.Group{}},
			producer: &kafka.Producer{}, log: slog.New(slog.DiscardHandler),
		}
		s.ctx, s.cancel = context.WithCancelCause(t.Context())
		s.told([]byte(c.data))
		if stopped := s.failure() != nil; stopped != c.stops {
			t.Errorf("%s: stopped is %v, want %v", name, stopped, c.stops)
		}
	}
}
