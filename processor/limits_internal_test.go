package processor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
)

// What a topic's settings say of a record, by the brokers' defaults of several
// versions.
func TestLimitsOf(t *testing.T) {
	const forever = "9223372036854775807"
	for name, c := range map[string]struct {
		config map[string]string
		want   topology.Limits
	}{
		"nothing known": {nil, topology.Limits{}},
		"Kafka 2.8": {
			map[string]string{"max.message.bytes": "1048588", "cleanup.policy": "delete", "message.timestamp.type": "CreateTime", "message.timestamp.difference.max.ms": forever},
			topology.Limits{Bytes: 1048588},
		},
		"Kafka 4": {
			map[string]string{"max.message.bytes": "1048588", "cleanup.policy": "compact,delete", "message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": forever, "message.timestamp.after.max.ms": "3600000"},
			topology.Limits{Bytes: 1048588, After: time.Hour, Compacted: true},
		},
		"either way, of an old broker": {
			map[string]string{"message.timestamp.type": "CreateTime", "message.timestamp.difference.max.ms": "60000"},
			topology.Limits{Before: time.Minute, After: time.Minute},
		},
		"the broker's own times": {
			map[string]string{"message.timestamp.type": "LogAppendTime", "message.timestamp.after.max.ms": "3600000"},
			topology.Limits{},
		},
		"longer than a Duration": {
			map[string]string{"message.timestamp.after.max.ms": "9223372036855", "message.timestamp.before.max.ms": "not a number"},
			topology.Limits{},
		},
		"no time at all": {
			map[string]string{"message.timestamp.after.max.ms": "0"},
			topology.Limits{After: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, limitsOf(c.config)); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

// A topic that is made here takes what the largest input takes, and any time; what
// the program sets counts more.
func TestSettingsOfCreatedTopics(t *testing.T) {
	l := newLimits()
	if got := l.settings(false, nil); len(got) != 0 {
		t.Errorf("settings %v before anything is known", got)
	}
	l.raise(map[string]string{"max.message.bytes": "5000000", "message.timestamp.after.max.ms": "3600000", "message.timestamp.before.max.ms": "9223372036854775807"})
	l.raise(map[string]string{"max.message.bytes": "2000000"})
	want := map[string]string{"max.message.bytes": "5000000", "message.timestamp.after.max.ms": "9223372036854775807", "cleanup.policy": "compact"}
	if diff := cmp.Diff(want, l.settings(false, map[string]string{"cleanup.policy": "compact"})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got := l.settings(true, nil)["max.message.bytes"]; got != "8388608" {
		t.Errorf("dead letters have %s", got)
	}
	if got := l.settings(true, map[string]string{"max.message.bytes": "1"})["max.message.bytes"]; got != "1" {
		t.Errorf("dead letters have %s, and the program says 1", got)
	}
}
