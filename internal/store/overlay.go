package store

import "unsafe"

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
}

const chunk = 64 << 10

func newOverlay(every bool, size int) *overlay {
	return &overlay{last: make(map[string]int32, size), rows: make([]Row, 0, size), every: every}
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
