package topology

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Topic is a Kafka topic with keys of type K and values of type V, shared by
// whoever writes and whoever reads it. Records lie in the partition that Java's
// default partitioner gives their key, see [Partition].
type Topic[K, V any] struct {
	// Name is the topic's name on Kafka, without any prefix. Required.
	Name string

	// Key and Value encode and decode. Required of a topic that is read; of one
	// that is written they default to the codecs of what is written.
	Key   codec.Codec[K]
	Value codec.Codec[V]

	// Time returns when a record happened, a zero time for the record's own
	// timestamp, which is also the default. It is given the record with that
	// timestamp. It is not called for a record without a value, or without a key if
	// K can be nil. Times are from 1970 to MaxTime; a record with another one is
	// refused as one that cannot be decoded is.
	Time func(Record[K, V]) time.Time

	// MaxAhead is how much later than the time of day a record may be. What is later
	// is refused as what cannot be decoded is, before it moves any clock: one wrong
	// clock would close all windows and expire all rows of its partition. Whole
	// milliseconds. Defaults to no bound: times may be those of a plan or of a
	// simulation. Kafka 4 refuses timestamps one hour ahead by default, but knows
	// nothing of Time.
	MaxAhead time.Duration

	// Partitions is how many to create, if the topic is tidemark's to create
	// (Repartition, Regroup). Defaults to as many as the topics that its reader
	// reads beside it, or else as the largest number among the inputs of its writers.
	Partitions int

	// Policies override the application's for records of this topic.
	Policies Policies
}

// JSONTopic is a topic with strings for keys and JSON for values, which most are.
// Its other fields can be set as those of a literal.
func JSONTopic[V any](name string) Topic[string, V] {
	return Topic[string, V]{Name: name, Key: codec.String{}, Value: codec.JSON[V]{}}
}

// Encode returns the record that a producer would send. A nil value, if V can
// be, is a tombstone, a nil key a missing one.
func (t Topic[K, V]) Encode(key K, value V) (Raw, error) {
	r := Raw{Position: Position{Topic: t.Name}}
	if err := t.check(); err != nil {
		return Raw{}, err
	}
	var err error
	if !canBeNil[K]() || !isNil(&key) {
		if r.Key, err = encode(t.Key, key); err != nil {
			return Raw{}, fmt.Errorf("topic %q: encode key: %w", t.Name, err)
		}
	}
	if !canBeNil[V]() || !isNil(&value) {
		if r.Value, err = encode(t.Value, value); err != nil {
			return Raw{}, fmt.Errorf("topic %q: encode value: %w", t.Name, err)
		}
	}
	return r, nil
}

// In returns the topic with the codecs that it has in a topology. It is an
// error if the topology neither reads nor publishes it.
func (t Topic[K, V]) In(topo *Topology) (Topic[K, V], error) {
	if _, ok := topo.topics[t.Name]; !ok {
		return t, fmt.Errorf("topic %q: application %q has none of this name, it has %s", t.Name, topo.application, quoted(topo.Topics()))
	}
	return handle(topo, "topic", t.Name, t)
}

// check returns every mistake of the declaration.
func (t Topic[K, V]) check() error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, fmt.Errorf("topic of %s to %s: it has no name", typeName[K](), typeName[V]()))
	} else if err := checkName("topic", t.Name); err != nil {
		errs = append(errs, err)
	}
	if t.Key == nil {
		errs = append(errs, fmt.Errorf("topic %q: no codec for its keys of type %s", t.Name, typeName[K]()))
	}
	if t.Value == nil {
		errs = append(errs, fmt.Errorf("topic %q: no codec for its values of type %s", t.Name, typeName[V]()))
	}
	if t.MaxAhead < 0 || t.MaxAhead%time.Millisecond != 0 {
		errs = append(errs, fmt.Errorf("topic %q: MaxAhead is %v: it is to be whole milliseconds, or none", t.Name, t.MaxAhead))
	}
	for _, err := range t.Policies.wrong() {
		errs = append(errs, fmt.Errorf("topic %q: %w", t.Name, err))
	}
	return errors.Join(errs...)
}

// orCodecs returns the topic with those codecs where it has none.
func (t Topic[K, V]) orCodecs(key codec.Codec[K], value codec.Codec[V]) Topic[K, V] {
	if t.Key == nil {
		t.Key = key
	}
	if t.Value == nil {
		t.Value = value
	}
	return t
}

// A declaration is how a topic was declared, to be compared with another one of
// the same name.
type declaration struct {
	as       string // types and codecs
	policies Policies
	time     uintptr // of the function
	maxAhead time.Duration
	texts    texts
}

func (t Topic[K, V]) declaration() declaration {
	return declaration{
		as:       fmt.Sprintf("%s (%T) to %s (%T)", typeName[K](), t.Key, typeName[V](), t.Value),
		policies: t.Policies,
		time:     reflect.ValueOf(t.Time).Pointer(),
		maxAhead: t.MaxAhead,
		texts:    newTexts(t.Key, t.Value),
	}
}

func (d declaration) equal(other declaration) bool {
	return d.as == other.as && d.policies == other.policies && d.time == other.time && d.maxAhead == other.maxAhead
}

func (d declaration) String() string {
	if d.policies == (Policies{}) {
		return d.as
	}
	return fmt.Sprintf("%s with policies %+v", d.as, d.policies)
}
