package codec_test

import (
	"encoding/json"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":               `""`,
		"a\tb\n\"\\":     `"a\tb\n\"\\"`,
		"<&>":            `"<&>"`,
		"x\xfb":          `"x\udcfb"`,
		"\x80é\xff😀":     `"\udc80é\udcff😀"`,
		"\uFFFD":         `"` + "\uFFFD" + `"`,
		"\xed\xa0\x80\\": `"\udced\udca0\udc80\\"`,
	} {
		if got := string(codec.Quote(text)); got != want {
			t.Errorf("Quote(%q) = %s, want %s", text, got, want)
		}
	}
	for quoted, want := range map[string]string{
		`"\ud83d\ude00\udcfb"`: "😀\xfb",
		`"\\udcfb"`:            `\udcfb`,
		`"\ud83d\udcfb"`:       "\U0001F4FB", // a pair is one character
		` "\u0041" `:           "A",
		`"\ud83d"`:             "\uFFFD",
	} {
		if got, err := codec.Unquote([]byte(quoted)); got != want || err != nil {
			t.Errorf("Unquote(%s) = %q, %v, want %q", quoted, got, err, want)
		}
	}
	for _, bad := range []string{``, `1`, `"a`, `"a" "b"`, `"\x"`, "\"\xfb\""} {
		if got, err := codec.Unquote([]byte(bad)); err == nil {
			t.Errorf("Unquote(%s) = %q, want an error", bad, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\xfb\\u")
	f.Add("😀\xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		quoted := codec.Quote(text)
		if got, err := codec.Unquote(quoted); got != text || err != nil || !json.Valid(quoted) {
			t.Errorf("Unquote(%s) = %q, %v, want %q", quoted, got, err, text)
		}
	})
}
