package cmd

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for key, want := range map[string]string{
		"":                 "",
		"a b ü 日😀":         "a b ü 日😀",
		"a\nb\t\r\\n":      `a\nb\t\r\\n`,
		"x\xfb":            `x\xfb`,
		"\x1b[31m\u009b":   `\x1b[31m\xc2\x9b`,
		"\uFFFD\u202e\x00": "\uFFFD" + `\xe2\x80\xae\x00`,
		`{"key":"a\"b"}`:   `{"key":"a\\"b"}`,
	} {
		if got := escape(key); got != want {
			t.Errorf("escape(%q) = %s, want %s", key, got, want)
		}
	}
	for _, bad := range []string{`\`, `\a`, `\x`, `\xf`, `\xfg`, `a\"b`} {
		if key, err := unescape(bad); err == nil {
			t.Errorf("unescape(%s) = %q, want an error", bad, key)
		}
	}
	if got := printable([]byte("{\"a\":\"\u009b31m\x7f\xfbü\"}")); got != `{"a":"\u009b31m\u007f`+"\xfbü\"}" {
		t.Errorf("printable: %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\xfb\\n\n")
	f.Fuzz(func(t *testing.T, key string) {
		text := escape(key)
		if got, err := unescape(text); got != key || err != nil {
			t.Errorf("unescape(%s) = %q, %v, want %q", text, got, err, key)
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("escape(%q) = %q", key, text)
		}
	})
}
