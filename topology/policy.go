package topology

import "cmp"

// A Policy says what happens to input that cannot be processed.
type Policy int

// Policies for bad input. The zero Policy means the application's, and there Fail.
const (
	Fail       Policy = iota + 1 // stop, and hand the error to the error handler
	Skip                         // drop and count
	DeadLetter                   // move to the topic <application>-dead-letters, in the same transaction
)

// Policies holds a policy for each place where input can be refused.
type Policies struct {
	Decode  Policy // bytes that a codec refuses
	Process Policy // records for which a function returns an error or panics
}

// or fills in what p does not say: as the application does, and at last by Fail.
func (p Policies) or(application Policies) Policies {
	return Policies{
		Decode:  cmp.Or(p.Decode, application.Decode, Fail),
		Process: cmp.Or(p.Process, application.Process, Fail),
	}
}
