package store

import (
	"bytes"
	"cmp"
	"slices"
)

// An entry is a row's place in an order. In the order of keys every deadline is 0.
type entry struct {
	deadline int64
	key      []byte
}

func (e entry) compare(with entry) int {
	if c := cmp.Compare(e.deadline, with.deadline); c != 0 {
		return c
	}
	return bytes.Compare(e.key, with.key)
}

// An index keeps entries in order: a list of short sorted lists, none of them
// empty. It shares the keys' memory.
type index struct {
	lists   [][]entry
	changes int // which move entries: a cursor then finds its place again
}

const (
	listEntries = 256
	entryCost   = 48 // bytes of an entry, and of the room beside it, about
)

// find returns the place of the first entry that is not before e, which is
// that of e itself if it is there.
func (x *index) find(e entry) (list, at int, found bool) {
	list, _ = slices.BinarySearchFunc(x.lists, e, func(l []entry, e entry) int { return l[len(l)-1].compare(e) })
	if list == len(x.lists) {
		return list, 0, false
	}
	at, found = slices.BinarySearchFunc(x.lists[list], e, entry.compare)
	return list, at, found
}

// first returns the first entry.
func (x *index) first() (e entry, ok bool) {
	if x == nil || len(x.lists) == 0 {
		return e, false
	}
	return x.lists[0][0], true
}

// add adds an entry that is not there.
func (x *index) add(e entry) {
	x.changes++
	list, at, _ := x.find(e)
	switch {
	case len(x.lists) == 0:
		x.lists = [][]entry{make([]entry, 0, 16)}
	case list == len(x.lists):
		list--
		at = len(x.lists[list])
	}
	l := x.lists[list]
	if len(l) == listEntries {
		half := listEntries / 2
		if list == len(x.lists)-1 && at == len(l) {
			half = at // keys that come in order leave full lists behind
		}
		rest := append(make([]entry, 0, listEntries), l[half:]...)
		x.lists[list] = l[:half]
		x.lists = slices.Insert(x.lists, list+1, rest)
		if at >= half {
			list, at = list+1, at-half
		}
	}
	x.lists[list] = slices.Insert(x.lists[list], at, e)
}

// remove removes an entry, if it is there.
func (x *index) remove(e entry) {
	list, at, found := x.find(e)
	if !found {
		return
	}
	x.changes++
	if len(x.lists[list]) == 1 {
		x.lists = slices.Delete(x.lists, list, list+1)
		return
	}
	x.lists[list] = slices.Delete(x.lists[list], at, at+1)
}
