package topology

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// String names windows as descriptions do: "hopping 1h every 5m".
func (w *windowing) String() string {
	switch {
	case w.kind == sliding:
		return "sliding " + millisText(w.size)
	case w.kind == session:
		return "session gap " + millisText(w.gap)
	case w.advance != w.size:
		return fmt.Sprintf("hopping %s every %s", millisText(w.size), millisText(w.advance))
	}
	return "tumbling " + millisText(w.size)
}

// betweenText names the window of a join of streams.
func betweenText(before, after int64) string {
	return fmt.Sprintf("from %s before to %s after", cmp.Or(millisText(before), "0s"), cmp.Or(millisText(after), "0s"))
}

// graceText is the Grace that was declared, "" for none.
func (w *windowing) graceText() string { return millisText(w.grace - w.gap) }

// millisText writes a time to wait or to live as "1h" or "1m30s", "" for none.
func millisText(millis int64) string {
	if millis == 0 {
		return ""
	}
	text := (time.Duration(millis) * time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
