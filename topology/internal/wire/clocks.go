package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// FormatClocks writes clocks, by name and in milliseconds, as they are committed with
// offsets: "a:kf12oi,b:9", sorted, each time in base 36.
func FormatClocks(clocks map[string]int64) string {
	texts := make([]string, 0, len(clocks))
	for name, now := range clocks {
		texts = append(texts, name+":"+strconv.FormatInt(now, 36))
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// ParseClocks reads what FormatClocks wrote.
func ParseClocks(text string) (map[string]int64, error) {
	clocks := map[string]int64{}
	if text == "" {
		return clocks, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, now, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("clocks %q: %q has no colon", text, part)
		}
		at, err := strconv.ParseInt(now, 36, 64)
		if err != nil {
			return nil, fmt.Errorf("clocks %q: %w", text, err)
		}
		clocks[name] = at
	}
	return clocks, nil
}
