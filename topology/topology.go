// Package topology describes what a program reads, keeps and writes, and runs
// one partition of it in memory.
//
// Literals name what lies outside of the process: a [Topic], and a [Store] of
// rows. Verbs connect them: a topic is consumed into a [Stream] or materialized
// into a [Table], streams are filtered, mapped, counted and published, a table
// is synced to a [Sink]. Four rules hold for every verb:
//
//   - Arguments come in this order: upstream, where it is kept, the function.
//   - A function is given the key, the value, then the rest. It is pure and
//     cannot fail; a step that can fail is [Try], or one of your own, [Process].
//   - What may be missing in data is a pointer: nil is a tombstone, or a deleted row.
//   - A verb that returns a table takes a store, because a table is a topic.
//
// Mistakes are collected and come out of [Builder.Build] together.
package topology

import (
	"maps"
	"slices"
)

// A Topology is a checked, immutable description, safe for concurrent use.
type Topology struct {
	application string
	groups      []*Group
	topics      map[string]texts // inputs, outputs and those of global tables, by name
	stores      map[string]texts // by name
	changelogs  map[string]texts // the same, by the name of the topic
	handles     map[string]any   // each Topic[K, V] and Store[K, V], with its codecs

	repartitions []RepartitionTopic // by topic
	globals      []Global           // by store
}

// Application returns the name given to NewBuilder.
func (t *Topology) Application() string { return t.application }

// Groups returns the parts that run on their own, in the order in which they
// were declared.
func (t *Topology) Groups() []*Group { return slices.Clone(t.groups) }

// Repartitions returns the topics that the processor creates for records to go
// through, by name.
func (t *Topology) Repartitions() []RepartitionTopic { return slices.Clone(t.repartitions) }

// Globals returns the global tables, by name of their stores, whether a group
// looks at them or not.
func (t *Topology) Globals() []Global { return slices.Clone(t.globals) }

// DeadLetters tells whether a record may have to go to the dead letters, as the
// policies of the topics and the application's say.
func (t *Topology) DeadLetters(application Policies) bool {
	if application.Write == DeadLetter {
		return true // of timers
	}
	for _, g := range t.groups {
		for _, in := range g.inputs {
			for _, policy := range in.policies.or(application).each() {
				if policy == DeadLetter {
					return true
				}
			}
		}
	}
	return false
}

// Topics returns the names of what is read and published, sorted.
func (t *Topology) Topics() []string { return slices.Sorted(maps.Keys(t.topics)) }

// Stores returns the names of the stores, sorted.
func (t *Topology) Stores() []string { return slices.Sorted(maps.Keys(t.stores)) }
