package rows

import "errors"

// ErrRestoring means that a key's partition is not ready: ask again later.
var ErrRestoring = errors.New("restoring")

// An ElsewhereError means that another instance has the key and could not be
// asked. Owner is its address, empty if it advertises none.
type ElsewhereError struct {
	Owner string
	Err   error
}

func (e *ElsewhereError) Error() string {
	text := "another instance has the key, and advertises no address"
	if e.Owner != "" {
		text = "another instance has the key, at " + e.Owner
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ElsewhereError) Unwrap() error { return e.Err }
