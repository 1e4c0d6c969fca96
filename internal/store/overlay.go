package store

import (
	"bytes"
	"slices"
	"unsafe"
)

// A Row is one change of a table: a nil Value deletes.
type Row struct {
	Key, Value []byte
	Time       int64 // of the record that caused it, in milliseconds since 1970

	replaced bool // a later row of the overlay has the key too
}

// An overlay is what one transaction writes, in the order of the changelog.
// Keys and values are copies in memory of its own, because the originals lie
// in a fetched batch of hundreds of kilobytes and would keep it alive.
type overlay struct {
	rows  []Row
	last  map[string]int32 // the index of a key's last row
	sent  int              // rows[:sent] are on their way to the changelog and do not change any more
	held  int              // bytes of all rows
	free  []byte           // the rest of the newest chunk
	every bool             // each change is a row, also of one key
	text  string           // see Store.Note

	keys      *index  // all keys, of deleted rows too; nil if the store has no order
	due       *index  // the deadlines of the last rows; nil if the store has none
	deadlines []int64 // of the rows
	deadline  func(key, value []byte, time int64) int64
	was       map[string]int64 // deadlines in LevelDB that were read
}

const chunk = 64 << 10

// newOverlay returns an overlay with room for a number of rows.
func newOverlay(options Options, size int) *overlay {
	o := &overlay{last: make(map[string]int32, size), rows: make([]Row, 0, size), every: options.EveryChange}
	if options.Ordered {
		o.keys = &index{}
	}
	if options.Deadline != nil {
		o.due, o.deadlines, o.deadline = &index{}, make([]int64, 0, size), options.deadline
	}
	return o
}

// copyOf copies b into the overlay's memory.
func (o *overlay) copyOf(b []byte) []byte {
	if len(b) > chunk/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if o.free == nil || len(b) > cap(o.free)-len(o.free) { // an empty value is not nil
		o.free = make([]byte, 0, chunk)
	}
	n := len(o.free)
	o.free = append(o.free, b...)
	return o.free[n:len(o.free):len(o.free)]
}

func (o *overlay) put(key, value []byte, time int64) {
	i, known := o.last[string(key)]
	if known && !o.every && int(i) >= o.sent {
		r := &o.rows[i]
		o.held += len(value) - len(r.Value)
		r.Time = time
		switch {
		case value == nil:
			r.Value = nil
		case r.Value != nil && len(value) <= cap(r.Value):
			r.Value = append(r.Value[:0], value...)
		default:
			r.Value = o.copyOf(value)
		}
		if o.due != nil {
			o.schedule(int(i), o.deadlines[i])
		}
		return
	}
	r := Row{Time: time}
	if known {
		o.rows[i].replaced = true
		r.Key = o.rows[i].Key
	} else {
		r.Key = o.copyOf(key)
	}
	if value != nil {
		r.Value = o.copyOf(value)
	}
	// The map's key shares the row's memory, which nobody changes.
	o.last[unsafe.String(unsafe.SliceData(r.Key), len(r.Key))] = int32(len(o.rows))
	o.rows = append(o.rows, r)
	o.held += len(r.Key) + len(value)
	if o.keys != nil && !known {
		o.keys.add(entry{key: r.Key})
		o.held += entryCost
	}
	if o.due != nil {
		old := int64(never)
		if known {
			old = o.deadlines[i]
		}
		o.deadlines = append(o.deadlines, never)
		o.schedule(len(o.rows)-1, old)
	}
}

// schedule moves a key from its old deadline to that of its last row.
func (o *overlay) schedule(last int, old int64) {
	r := &o.rows[last]
	next := o.deadline(r.Key, r.Value, r.Time)
	o.deadlines[last] = next
	if next == old {
		return
	}
	if old != never {
		o.due.remove(entry{old, r.Key})
		o.held -= entryCost
	}
	if next != never {
		o.due.add(entry{next, r.Key})
		o.held += entryCost
	}
}

// note notes what deadline a key has in LevelDB.
func (o *overlay) note(key []byte, deadline int64) {
	if o.was == nil {
		o.was = map[string]int64{}
	}
	if _, known := o.was[string(key)]; !known {
		o.was[string(key)] = deadline
		o.held += len(key) + entryCost
	}
}

// get returns the newest row of a key, with a nil value if it is deleted; nil
// if the overlay knows nothing of it.
func (o *overlay) get(key []byte) *Row {
	if o == nil {
		return nil
	}
	i, ok := o.last[string(key)]
	if !ok {
		return nil
	}
	return &o.rows[i]
}

// inOrder appends the places of each key's last row, in the order of keys.
func (o *overlay) inOrder(order []int32) []int32 {
	if o.keys != nil {
		for _, l := range o.keys.lists {
			for _, e := range l {
				order = append(order, o.last[string(e.key)])
			}
		}
		return order
	}
	for i := range o.rows {
		if !o.rows[i].replaced {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(o.rows[a].Key, o.rows[b].Key) })
	return order
}
