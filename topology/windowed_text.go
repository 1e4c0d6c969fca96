package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// The text of a windowed key is that of its key, a colon, and the start of its
// window; what follows a slash is the end. The end is left out where it follows
// from the size of a table's windows:
//
//	customer-1:2026-11-25T08:00:00Z
//	customer-1:2026-11-25T08:10:00Z/2026-11-25T08:41:12.5Z
//
// It is read from its end, so that the key may hold anything.

// windowKeys is a codec of windowed keys, whatever their type is. Size is that of a
// table's windows in milliseconds, 0 if it is not known.
type windowKeys interface {
	keyText(data []byte, size int64) (string, error)
	parseKeyText(text string, size int64) ([]byte, error)
	exactText(size *int64) func(to, key []byte) ([]byte, error)
	prefix(text string) ([]byte, error)
	windows(text string, since, until time.Time) (from, to []byte, err error)
}

// formatWindowed appends the text of a windowed key, whose key has been written as
// far as it is not in key.
func formatWindowed(to, key, data []byte, size int64) []byte {
	start, end := wire.WindowOf(data)
	to = appendTimeText(append(append(to, key...), ':'), start)
	if size == 0 || end-start != size {
		to = appendTimeText(append(to, '/'), end)
	}
	return to
}

// appendTimeText appends a time in RFC 3339, or in milliseconds since 1970 if its
// year has not four digits.
func appendTimeText(to []byte, millis int64) []byte {
	if !isWritten(millis) {
		return strconv.AppendInt(to, millis, 10)
	}
	return time.UnixMilli(millis).UTC().AppendFormat(to, time.RFC3339Nano)
}

// isWritten reports whether a time has four digits for its year.
func isWritten(millis int64) bool {
	year := time.UnixMilli(millis).UTC().Year()
	return year >= 0 && year <= 9999
}

// parseWindowed returns the text of the key within that of a windowed key, and the
// window.
func parseWindowed(text string, size int64) (key string, start, end int64, err error) {
	rest, end, ok := cutTimeText(text, '/')
	if ok {
		if key, start, ok = cutTimeText(rest, ':'); ok {
			return key, start, end, nil
		}
	} else if key, start, ok = cutTimeText(text, ':'); ok && size > 0 {
		return key, start, start + size, nil
	} else if ok {
		return "", 0, 0, fmt.Errorf("%q has no end of the window: write KEY:START/END", text)
	}
	if size > 0 {
		return "", 0, 0, errors.New("a window is missing: write KEY:START, with the start in RFC 3339")
	}
	return "", 0, 0, errors.New("a window is missing: write KEY:START/END, with times in RFC 3339")
}

// cutTimeText cuts a time and what separates it off the end of a text. It reads what
// appendTimeText writes, so that customer:1 has no time.
func cutTimeText(text string, separator byte) (rest string, millis int64, ok bool) {
	if strings.HasSuffix(text, "Z") {
		const shortest, longest = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.000Z")
		for n := shortest; n <= min(longest, len(text)-1); n++ {
			at := len(text) - n
			if text[at-1] != separator {
				continue
			}
			if t, err := time.Parse(time.RFC3339Nano, text[at:]); err == nil {
				return text[:at-1], t.UnixMilli(), true
			}
		}
		return "", 0, false
	}
	at := strings.LastIndexByte(text, separator)
	if at < 0 {
		return "", 0, false
	}
	millis, err := strconv.ParseInt(text[at+1:], 10, 64)
	return text[:at], millis, err == nil && !isWritten(millis)
}

// keyText writes a windowed key.
func (c WindowedCodec[K]) keyText(data []byte, size int64) (string, error) {
	inner, err := c.inner(data)
	if err != nil {
		return "", err
	}
	key, err := formatKey(c.Key, inner)
	if err != nil {
		return "", err
	}
	return string(formatWindowed(nil, []byte(key), data, size)), nil
}

// parseKeyText reads what keyText writes, and a windowed key as JSON.
func (c WindowedCodec[K]) parseKeyText(text string, size int64) ([]byte, error) {
	if c.Key == nil {
		_, err := c.inner(nil)
		return nil, err
	}
	if strings.HasPrefix(text, "{") && json.Valid([]byte(text)) {
		var w Windowed[K]
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return nil, err
		}
		return c.Encode(w)
	}
	key, start, end, err := parseWindowed(text, size)
	if err != nil {
		return nil, err
	}
	inner, err := parseKey(c.Key, key)
	if err != nil {
		return nil, err
	}
	return wire.WindowKey(inner, start, end), nil
}

// exactText returns what appends what keyText returns, nil if two keys may have one
// text.
func (c WindowedCodec[K]) exactText(size *int64) func(to, key []byte) ([]byte, error) {
	inner := exactText(c.Key)
	if inner == nil {
		return nil
	}
	return func(to, data []byte) ([]byte, error) {
		key, err := c.inner(data)
		if err != nil {
			return nil, err
		}
		if to, err = inner(to, key); err != nil {
			return nil, err
		}
		return formatWindowed(to, nil, data, *size), nil
	}
}

// prefix is plainPrefix as the keys of rows hold it: escaped, and open at its end.
func (c WindowedCodec[K]) prefix(text string) ([]byte, error) {
	if c.Key == nil {
		return nil, errNoInner
	}
	key, err := plainPrefix(c.Key, text)
	return wire.KeyPrefix(key), err
}

// windows is the range of the windows of a key.
func (c WindowedCodec[K]) windows(text string, since, until time.Time) (from, to []byte, err error) {
	if c.Key == nil {
		return nil, nil, errNoInner
	}
	key, err := parseKey(c.Key, text)
	if err != nil {
		return nil, nil, err
	}
	first := int64(math.MinInt64)
	if !since.IsZero() {
		first = startAt(since)
	}
	prefix := wire.AppendKey(nil, key)
	if from, to = wire.WindowStart(prefix, first), codec.PrefixEnd(prefix); !until.IsZero() {
		to = wire.WindowStart(prefix, startAt(until))
	}
	return from, to, nil
}

// startAt is the first whole millisecond that is not before a time.
func startAt(t time.Time) int64 {
	at := t.UnixMilli()
	if time.UnixMilli(at).Before(t) {
		at++
	}
	return at
}
