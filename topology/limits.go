package topology

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Limits are what a topic takes of one record: what the broker would refuse for
// good is found before anything is written. The zero Limits take everything.
type Limits struct {
	// Bytes is the topic's max.message.bytes: what a batch of one record may take,
	// uncompressed. 0 for any size.
	Bytes int

	// Before and After are how far a record's time may be from the broker's clock
	// (message.timestamp.before.max.ms and message.timestamp.after.max.ms). 0 for
	// any time.
	Before, After time.Duration

	// Compacted topics take no record without a key.
	Compacted bool

	// Refuses says why the broker has refused this very record before, for reasons
	// that the other fields do not tell; nil without such a record.
	Refuses func(key, value []byte) error
}

// A WriteError says why a record cannot be written to a topic.
type WriteError struct {
	Topic string
	Err   error
}

func (e *WriteError) Error() string { return fmt.Sprintf("write to topic %q: %v", e.Topic, e.Err) }
func (e *WriteError) Unwrap() error { return e.Err }

// An OutdatedError says that the limits of a topic may have changed since they were
// asked for, and that they would refuse a record as they are known.
type OutdatedError struct{ Topic string }

func (e *OutdatedError) Error() string {
	return fmt.Sprintf("the limits of topic %q have to be asked for again", e.Topic)
}

// spare is more than a record takes beside its key, value and headers.
const spare = batchHeader + 48

// plainly tells, at little cost, that the topic takes a record.
func (l *Limits) plainly(key, value []byte, headers []Header) bool {
	return len(headers) == 0 && (key != nil || !l.Compacted) && len(key)+len(value)+spare <= l.Bytes && l.Before|l.After == 0 && l.Refuses == nil
}

// Check returns why the topic would refuse a record, nil if it takes it.
func (l *Limits) Check(r *Raw, now time.Time) error {
	if l.Compacted && r.Key == nil {
		return errors.New("the topic is compacted, and the record has no key")
	}
	if n := BatchBytes(r.Key, r.Value, r.Headers); l.Bytes > 0 && n > l.Bytes {
		return fmt.Errorf("key %q: %d bytes are more than the topic's max.message.bytes of %d", cut(r.Key), n, l.Bytes)
	}
	at := r.Time.UTC().Format(time.RFC3339)
	if ahead := r.Time.Sub(now); l.After > 0 && ahead > l.After {
		return fmt.Errorf("key %q: its time %s is more than message.timestamp.after.max.ms ahead, which is %v", cut(r.Key), at, l.After)
	} else if l.Before > 0 && -ahead > l.Before {
		return fmt.Errorf("key %q: its time %s is more than message.timestamp.before.max.ms ago, which is %v", cut(r.Key), at, l.Before)
	}
	if l.Refuses != nil {
		return l.Refuses(r.Key, r.Value)
	}
	return nil
}

// cut is as much of a key as a person wants to read.
func cut(key []byte) []byte { return key[:min(len(key), 200)] }

const batchHeader = 61 // bytes of a record batch before its records, as of Kafka's message format 2

// BatchBytes returns how many bytes an uncompressed batch of one record takes,
// which is what Kafka compares with max.message.bytes.
func BatchBytes(key, value []byte, headers []Header) int {
	n := 3 + blobBytes(key) + blobBytes(value) + varintBytes(len(headers)) // attributes, and the differences of time and offset
	for _, h := range headers {
		n += varintBytes(len(h.Key)) + len(h.Key) + blobBytes(h.Value)
	}
	return batchHeader + varintBytes(n) + n
}

func blobBytes(b []byte) int {
	if b == nil {
		return 1 // a length of -1
	}
	return varintBytes(len(b)) + len(b)
}

// varintBytes is the length of a number that is not negative as a zigzag varint.
func varintBytes(n int) int { return (bits.Len(uint(n)<<1|1) + 6) / 7 }

// limitsOf returns what a topic takes.
func (k *Task) limitsOf(topic string) *Limits {
	l := k.limits[topic]
	if l == nil {
		l = &Limits{}
		k.learn(topic, l)
		k.limits[topic] = l
	}
	return l
}

func (k *Task) learn(topic string, l *Limits) {
	*l = Limits{}
	if k.Limits != nil {
		*l = k.Limits(topic)
	}
	if l.Bytes <= 0 {
		l.Bytes = math.MaxInt
	}
}

// takes tells whether a topic takes a record that the call is about to write.
// What it refuses blames the record that is being processed, and the call comes
// to nothing. A timer has no record to blame: what it writes is left out alone,
// unless the policy is Fail. Its deletions are never left out, or the row would
// be due again at once. Limits that are outdated refuse nothing: the call comes to
// nothing, and is made again.
func (k *Task) takes(l *Limits, o Output) bool {
	err := l.Check(&o.Raw, k.Now())
	if err == nil || k.unwritable != nil {
		return true
	}
	k.learn(o.Topic, l)
	if err = l.Check(&o.Raw, k.Now()); err == nil {
		return true
	}
	if k.Outdated != nil && k.Outdated(o.Topic) {
		k.unwritable = &OutdatedError{o.Topic}
		return true
	}
	err = &WriteError{o.Topic, err}
	policy := cmp.Or(k.application.Write, Fail)
	switch {
	case k.who == "":
		k.unwritable = &RecordError{Position: k.record.Position, Node: k.at.name, Policy: k.policies.Write, Err: err}
	case policy == Fail || o.Value == nil:
		k.unwritable = fmt.Errorf("%s: %w", k.who, err)
	default:
		k.writes.Refused = append(k.writes.Refused, Refusal{o, policy, fmt.Errorf("%s: %w", k.who, err)})
		return false
	}
	return true
}
