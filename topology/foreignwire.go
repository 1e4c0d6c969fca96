package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// What left rows send to right ones, and what these answer, begins with a byte
// that says how it is written, and one that says what follows: a digest of the left
// row, and the rest, which is the left row's key, or the right row.

const wireVersion = 1

// A digest tells the values of a left row apart: the first half of its bytes'
// SHA-256. It is empty if there is no row.
type digest string

const digestBytes = 16

func digestOf(row []byte) digest {
	if row == nil {
		return ""
	}
	sum := sha256.Sum256(row)
	return digest(sum[:digestBytes])
}

// An instruction says what the right side does with a subscription.
type instruction byte

const (
	answer          instruction = iota // keep it, and answer with the right row, or that there is none
	refresh                            // as answer does, but that there is none matters only to a row of the result
	deleteAndAnswer                    // forget it, and answer that there is none
	deleteOnly                         // forget it
	instructions
)

func (i instruction) String() string {
	return [...]string{"answer", "refresh", "delete and answer", "delete"}[i]
}

// A subscription is what a left row sends. Its record's key is the one that the
// row contains, missing if it contains none.
type subscription struct {
	Do  instruction
	Row digest
	Key []byte // of the left row
}

// A response answers one, or tells of a change of the right row. Its record's key
// is the left row's.
type response struct {
	Row   digest // as it was subscribed
	Right []byte // nil if there is none
	Quiet bool   // if there is none it is nothing to tell of, but a row of the result goes
}

// Flags of the second byte.
const (
	hasDigest = 1 << 7
	hasRight  = 1 << 0
	isQuiet   = 1 << 1
)

type subscriptionCodec struct{}

func (subscriptionCodec) Encode(s subscription) ([]byte, error) {
	return append(appendDigest([]byte{wireVersion, byte(s.Do)}, s.Row), s.Key...), nil
}

func (subscriptionCodec) Decode(data []byte) (s subscription, err error) {
	what, row, rest, err := cutDigest(data)
	if err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	if s.Do = instruction(what); s.Do >= instructions {
		return subscription{}, fmt.Errorf("subscription: instruction %d is not known", what)
	}
	s.Row, s.Key = row, rest
	return s, nil
}

type responseCodec struct{}

func (responseCodec) Encode(r response) ([]byte, error) { return r.encode(), nil }

func (responseCodec) Decode(data []byte) (response, error) { return decodeResponse(data) }

func (r response) encode() []byte {
	var what byte
	if r.Right != nil {
		what = hasRight
	}
	if r.Quiet {
		what |= isQuiet
	}
	return append(appendDigest([]byte{wireVersion, what}, r.Row), r.Right...)
}

func decodeResponse(data []byte) (r response, err error) {
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
func appendDigest(to []byte, row digest) []byte {
	if row == "" {
		return to
	}
	to[1] |= hasDigest
	return append(to, row...)
}

// cutDigest returns what the second byte says, the digest, and what follows, which
// is not nil.
func cutDigest(data []byte) (what byte, row digest, rest []byte, err error) {
	switch {
	case len(data) < 2:
		return 0, "", nil, fmt.Errorf("%d bytes are too few", len(data))
	case data[0] != wireVersion:
		return 0, "", nil, fmt.Errorf("version %d is not known: was it written by a newer program?", data[0])
	}
	what, rest = data[1]&^hasDigest, data[2:]
	if data[1]&hasDigest == 0 {
		return what, "", rest, nil
	}
	if len(rest) < digestBytes {
		return 0, "", nil, fmt.Errorf("%d bytes are too few for a digest", len(rest))
	}
	return what, digest(rest[:digestBytes]), rest[digestBytes:], nil
}

// MarshalJSON writes it for whoever looks at the topic.
func (s subscription) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"do": s.Do.String(), "row": hex.EncodeToString([]byte(s.Row)), "key": string(s.Key)})
}

// MarshalJSON writes it for whoever looks at the topic.
func (r response) MarshalJSON() ([]byte, error) {
	text := map[string]any{"row": hex.EncodeToString([]byte(r.Row)), "right": nil}
	if r.Right != nil {
		text["right"] = string(r.Right)
	}
	if r.Quiet {
		text["quiet"] = true
	}
	return json.Marshal(text)
}
