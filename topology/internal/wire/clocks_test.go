package wire

import (
	"maps"
	"testing"
)

func TestFormatClocks(t *testing.T) {
	if got, want := FormatClocks(map[string]int64{"": 35, "b": -1, "a": 36}), ":z,a:10,b:-1"; got != want {
		t.Errorf("clocks %q, want %q", got, want)
	}
	if got := FormatClocks(nil); got != "" {
		t.Errorf("no clocks are %q", got)
	}
}

func FuzzClocks(f *testing.F) {
	f.Add("")
	f.Add(":z,a:10,rows/covering:-1")
	f.Add("a")
	f.Add("a:,b")
	f.Add("a:zzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, text string) {
		clocks, err := ParseClocks(text)
		if err != nil {
			return
		}
		again, err := ParseClocks(FormatClocks(clocks))
		if err != nil || !maps.Equal(clocks, again) {
			t.Errorf("%q: %v comes back as %v, %v", text, clocks, again, err)
		}
	})
}
