package follow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A position is where a target stands, which is a string to the sink: the
// changelog's incarnation, the next changelog offset, and when that was written:
// "<topic id>@<offset>@<seconds since 1970>". Within a rebuild "+<n>" follows.
type position struct {
	source string
	offset int64
	at     time.Time
}

func (p position) String() string { return fmt.Sprintf("%s@%d@%d", p.source, p.offset, p.at.Unix()) }

// locate returns the position to go on from, or why the target cannot be followed
// from where it says that it stands.
func (f *Follower) locate(text string) (position, error) {
	parts := strings.Split(text, "@")
	switch {
	case text == "":
		return position{}, errors.New("the target knows nothing of the table")
	case len(parts) != 3:
		return position{}, fmt.Errorf("the target's position %q is not ours", text)
	case parts[0] != f.source:
		return position{}, errors.New("the target followed another incarnation of the table")
	case strings.Contains(parts[2], "+"):
		return position{}, errors.New("an earlier rebuild did not finish")
	}
	offset, err := strconv.ParseInt(parts[1], 10, 64)
	seconds, err2 := strconv.ParseInt(parts[2], 10, 64)
	p := position{f.source, offset, time.Unix(seconds, 0)}
	end := f.end.Load()
	switch {
	case err != nil || err2 != nil || p.String() != text:
		return position{}, fmt.Errorf("the target's position %q is not ours", text)
	case offset > max(end, f.tried):
		return position{}, fmt.Errorf("the target is at %d, and the changelog ends at %d", offset, end)
	case offset < f.gone:
		return position{}, fmt.Errorf("the target is at %d, and the changelog does not begin there any more", offset)
	case offset < end && time.Since(p.at) > f.config.Retention:
		return position{}, fmt.Errorf("the target was left %v ago, and the changelog keeps tombstones for %v", time.Since(p.at).Round(time.Second), f.config.Retention)
	}
	return p, nil
}
