package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Quote returns text as a JSON string. A byte that is not UTF-8 is written as a
// lone surrogate, \udc80 to \udcff, as Python's surrogateescape does: JSON has no
// other way to say it, and encoding/json would put U+FFFD in its place.
func Quote(text string) []byte {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(text); err != nil { // no string is refused
		return nil
	}
	out.Truncate(out.Len() - 1) // the newline
	if utf8.ValidString(text) {
		return out.Bytes()
	}
	quoted := []byte{'"'}
	for len(text) > 0 {
		n := validPrefix(text)
		if n > 0 {
			part := Quote(text[:n])
			quoted = append(quoted, part[1:len(part)-1]...)
		}
		if text = text[n:]; text != "" {
			quoted = fmt.Appendf(quoted, `\udc%02x`, text[0])
			text = text[1:]
		}
	}
	return append(quoted, '"')
}

// validPrefix is the length of the valid UTF-8 that text begins with.
func validPrefix(text string) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// Unquote returns the text of a JSON string, with the bytes that Quote has written
// as lone surrogates.
func Unquote(quoted []byte) (string, error) {
	quoted = bytes.TrimSpace(quoted)
	if !utf8.Valid(quoted) || !json.Valid(quoted) || quoted[0] != '"' {
		return "", errors.New("not a JSON string")
	}
	var text []byte
	part := []byte{'"'}
	flush := func() error {
		var s string
		err := json.Unmarshal(append(part, '"'), &s)
		text, part = append(text, s...), part[:1]
		return err
	}
	for rest := quoted[1 : len(quoted)-1]; len(rest) > 0; {
		n := escapeLength(rest)
		code, isCode := surrogate(rest)
		switch {
		case isCode && code >= 0xd800 && code < 0xdc00 && len(rest) >= 2*n: // its other half stays with it
			if low, ok := surrogate(rest[n:]); ok && low >= 0xdc00 {
				n *= 2
			}
		case isCode && code >= 0xdc80 && code <= 0xdcff:
			if err := flush(); err != nil {
				return "", err
			}
			text, rest = append(text, byte(code)), rest[n:]
			continue
		}
		part, rest = append(part, rest[:n]...), rest[n:]
	}
	err := flush()
	return string(text), err
}

// escapeLength is the length of the escape, or the byte, that rest begins with.
func escapeLength(rest []byte) int {
	switch {
	case rest[0] != '\\':
		return 1
	case rest[1] == 'u':
		return 6
	}
	return 2
}

// surrogate returns the surrogate that rest begins with, if it is one.
func surrogate(rest []byte) (code uint64, ok bool) {
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(string(rest[2:6]), 16, 16)
	return code, err == nil && code >= 0xd800 && code < 0xe000
}
