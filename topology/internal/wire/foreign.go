package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// What left rows send to right ones, and what these answer, begins with a byte
// that says how it is written, and one that says what follows: a digest of the left
// row, and the rest, which is the left row's key, or the right row.

const foreignVersion = 1

// A Digest tells the values of a left row apart: the first half of its bytes'
// SHA-256. It is empty if there is no row.
type Digest string

const digestBytes = 16

// DigestOf is the digest of a left row, nil for none.
func DigestOf(row []byte) Digest {
	if row == nil {
		return ""
	}
	sum := sha256.Sum256(row)
	return Digest(sum[:digestBytes])
}

// An Instruction says what the right side does with a subscription.
type Instruction byte

// Instructions.
const (
	Answer          Instruction = iota // keep it, and answer with the right row, or that there is none
	Refresh                            // as answer does, but that there is none matters only to a row of the result
	DeleteAndAnswer                    // forget it, and answer that there is none
	DeleteOnly                         // forget it
	instructions
)

func (i Instruction) String() string {
	return [...]string{"answer", "refresh", "delete and answer", "delete"}[i]
}

// A Subscription is what a left row sends. Its record's key is the one that the
// row contains, missing if it contains none.
type Subscription struct {
	Do  Instruction
	Row Digest
	Key []byte // of the left row
}

// A Response answers one, or tells of a change of the right row. Its record's key
// is the left row's.
type Response struct {
	Row   Digest // as it was subscribed
	Right []byte // nil if there is none
	Quiet bool   // if there is none it is nothing to tell of, but a row of the result goes
}

// Flags of the second byte.
const (
	hasDigest = 1 << 7
	hasRight  = 1 << 0
	isQuiet   = 1 << 1
)

// Encode writes a subscription.
func (s Subscription) Encode() []byte {
	return append(appendDigest([]byte{foreignVersion, byte(s.Do)}, s.Row), s.Key...)
}

// DecodeSubscription reads what Encode wrote. It shares its bytes.
func DecodeSubscription(data []byte) (s Subscription, err error) {
	what, row, rest, err := cutDigest(data)
	if err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	if s.Do = Instruction(what); s.Do >= instructions {
		return Subscription{}, fmt.Errorf("subscription: instruction %d is not known", what)
	}
	s.Row, s.Key = row, rest
	return s, nil
}

// Encode writes a response.
func (r Response) Encode() []byte {
	var what byte
	if r.Right != nil {
		what = hasRight
	}
	if r.Quiet {
		what |= isQuiet
	}
	return append(appendDigest([]byte{foreignVersion, what}, r.Row), r.Right...)
}

// DecodeResponse reads what Encode wrote. It shares its bytes.
func DecodeResponse(data []byte) (r Response, err error) {
	what, row, rest, err := cutDigest(data)
	switch {
	case err != nil:
		return r, fmt.Errorf("response: %w", err)
	case what > hasRight|isQuiet:
		return r, fmt.Errorf("response: %d is not known", what)
	case what&hasRight != 0:
		r.Right = rest
	case len(rest) > 0:
		return r, fmt.Errorf("response: %d bytes more than it says", len(rest))
	}
	r.Row, r.Quiet = row, what&isQuiet != 0
	return r, nil
}

// appendDigest appends a digest to the two bytes before it.
func appendDigest(to []byte, row Digest) []byte {
	if row == "" {
		return to
	}
	to[1] |= hasDigest
	return append(to, row...)
}

// cutDigest returns what the second byte says, the digest, and what follows, which
// is not nil.
func cutDigest(data []byte) (what byte, row Digest, rest []byte, err error) {
	switch {
	case len(data) < 2:
		return 0, "", nil, fmt.Errorf("%d bytes are too few", len(data))
	case data[0] != foreignVersion:
		return 0, "", nil, fmt.Errorf("version %d is not known: was it written by a newer program?", data[0])
	}
	what, rest = data[1]&^hasDigest, data[2:]
	if data[1]&hasDigest == 0 {
		return what, "", rest, nil
	}
	if len(rest) < digestBytes {
		return 0, "", nil, fmt.Errorf("%d bytes are too few for a digest", len(rest))
	}
	return what, Digest(rest[:digestBytes]), rest[digestBytes:], nil
}

// MarshalJSON writes it for whoever looks at the topic.
func (s Subscription) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"do": s.Do.String(), "row": hex.EncodeToString([]byte(s.Row)), "key": string(s.Key)})
}

// MarshalJSON writes it for whoever looks at the topic.
func (r Response) MarshalJSON() ([]byte, error) {
	text := map[string]any{"row": hex.EncodeToString([]byte(r.Row)), "right": nil}
	if r.Right != nil {
		text["right"] = string(r.Right)
	}
	if r.Quiet {
		text["quiet"] = true
	}
	return json.Marshal(text)
}
