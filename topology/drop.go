package topology

// A DropReason says why a step left a record out.
type DropReason int

// Drop reasons.
const (
	NoKey   DropReason = iota // it has no key where one is needed, or a join's function gave it none
	NoValue                   // it has no value where a function needs one
	Late                      // its window, its join or its answer is over
)

// DropReasons has the reasons' names, by reason.
var DropReasons = [...]string{"no_key", "no_value", "late"}

func (r DropReason) String() string { return DropReasons[r] }

// drop notes that the record is left out; the first reason counts.
func (k *Task) drop(reason DropReason) {
	if !k.writes.Dropped {
		k.writes.Dropped, k.writes.DropReason = true, reason
	}
}

// missing is the reason of a record that lacks a value, or else a key.
func missing(value bool) DropReason {
	if value {
		return NoValue
	}
	return NoKey
}
