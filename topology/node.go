package topology

import (
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// A node is a step of a topology, without its types.
type node struct {
	name   string  // as errors and Topology.String show it
	place  string  // where it was declared, for errors
	ups    []*node // none for a topic that is read
	stores []*kept // what it keeps
	effect bool    // it does something beside feeding others
	calls  bool    // it calls what must be called once: it runs in one group only

	source bool // a topic that is read, or a global table: it binds nothing together
	global bool

	timed bool // the task's own clock is that of the records that come to it
}

// upTo returns the node and all that its records come from, each once.
func (n *node) upTo() (nodes []*node) {
	seen := map[*node]bool{}
	var walk func(*node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		nodes = append(nodes, n)
		for _, up := range n.ups {
			walk(up)
		}
	}
	walk(n)
	return nodes
}

// A stream is a node that records come out of: of a topic, a step, or a table,
// whose records are its changes. The codecs are nil where nothing says them.
type stream[K, V any] struct {
	*node
	key   codec.Codec[K]
	value codec.Codec[V]
	outs  []out[K, V]

	rekeyed  bool       // keys were changed since the topic: records of one key may lie in several partitions
	windows  *windowing // keys are windowed; nil if they are not
	needsOld bool       // somebody downstream looks at what a changed row was

	// Set where a mistake was reported that a missing codec would only repeat.
	faulty bool
}

// A step takes a record within a task.
type step[K, V any] func(*item[K, V]) error

// An out leads to a node downstream; start makes its step for a task.
type out[K, V any] struct {
	to    *node
	start func(*Task) step[K, V]
}

// start returns the step that hands records to everything downstream that the
// task's group runs. A task starts each node once, whatever leads to it.
func (s *stream[K, V]) start(k *Task) step[K, V] {
	if started, ok := k.started[s.node]; ok {
		return started.(step[K, V])
	}
	var next []step[K, V]
	for _, o := range s.outs {
		if k.group.nodes[o.to] {
			next = append(next, reaching(k, s.node, o.to, o.start(k)))
		}
	}
	all := step[K, V](func(it *item[K, V]) error {
		for _, n := range next {
			if err := n(it); err != nil {
				return err
			}
		}
		return nil
	})
	if len(next) == 1 {
		all = next[0]
	}
	k.started[s.node] = all
	return all
}

// below returns a stream of other values downstream of s. It has the codecs of
// s as far as its types are the same.
func below[K, V, W any](b *Builder, s *stream[K, V], name string) *stream[K, W] {
	value, _ := any(s.value).(codec.Codec[W])
	return &stream[K, W]{
		node: b.add(name, s.node), key: s.key, value: value,
		rekeyed: s.rekeyed, windows: s.windows, faulty: s.faulty,
	}
}

// rekeyed returns a stream of other keys downstream of s.
func rekeyed[K, V, K2, V2 any](b *Builder, s *stream[K, V], name string) *stream[K2, V2] {
	key, _ := any(s.key).(codec.Codec[K2])
	value, _ := any(s.value).(codec.Codec[V2])
	return &stream[K2, V2]{node: b.add(name, s.node), key: key, value: value, rekeyed: true, faulty: s.faulty}
}

// sameCodec reports whether what one codec has written need not be written
// anew by the other.
func sameCodec(a, b any) bool {
	if a == nil || b == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return reflect.ValueOf(a).Comparable() && a == b
}

// feed leads the stream's records to a node.
func (s *stream[K, V]) feed(to *node, start func(*Task) step[K, V]) {
	s.outs = append(s.outs, out[K, V]{to, start})
}

// placeholder is what verbs go on with after a mistake.
func placeholder[K, V any]() *stream[K, V] {
	return &stream[K, V]{node: &node{name: "nothing", source: true}, faulty: true}
}
