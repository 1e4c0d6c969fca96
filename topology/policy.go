package topology

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
)

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
	Write   Policy // records of which a row or an output is refused: by its topic, or by a sink
}

// each returns the policies by the names of their places.
func (p Policies) each() iter.Seq2[string, Policy] {
	return func(yield func(string, Policy) bool) {
		_ = yield("Decode", p.Decode) && yield("Process", p.Process) && yield("Write", p.Write)
	}
}

// Validate reports every value that is not a policy.
func (p Policies) Validate() error { return errors.Join(p.wrong()...) }

func (p Policies) wrong() (wrong []error) {
	for place, policy := range p.each() {
		if policy < 0 || policy > DeadLetter {
			wrong = append(wrong, fmt.Errorf("%s: %d is not a policy", "Policies."+place, policy))
		}
	}
	return wrong
}

// or fills in what p does not say: as the application does, and at last by Fail.
func (p Policies) or(application Policies) Policies {
	return Policies{
		Decode:  cmp.Or(p.Decode, application.Decode, Fail),
		Process: cmp.Or(p.Process, application.Process, Fail),
		Write:   cmp.Or(p.Write, application.Write, Fail),
	}
}
