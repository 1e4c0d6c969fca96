package topology

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
)

func TestChangeCodec(t *testing.T) {
	c := changeCodec[string]{codec.String{}}
	a, b, empty := "a", "bc", ""
	for _, test := range []struct {
		change Change[string]
		want   string
	}{
		{Change[string]{New: &a}, "\x01\x00\x02a"},
		{Change[string]{Old: &a}, "\x01\x02a\x00"},
		{Change[string]{Old: &a, New: &b}, "\x01\x02a\x03bc"},
		{Change[string]{Old: &empty, New: &b}, "\x01\x01\x03bc"},
	} {
		data, err := c.Encode(test.change)
		if err != nil || string(data) != test.want {
			t.Errorf("%v is encoded as %q, %v, want %q", test.change, data, err, test.want)
		}
		back, err := c.Decode(data)
		if diff := cmp.Diff(test.change, back); err != nil || diff != "" {
			t.Errorf("decoded: %v (-want +got):\n%s", err, diff)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, seed := range []string{
		"", "\x01\x00\x02a", "\x01\x02a\x03bc", "\x01\x00\x00", "\x02\x00\x02a", "\x01\x82\x00a\x00", "\x01\x00\x09a", "\x01\x00\x02ab",
		"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
	} {
		f.Add([]byte(seed))
	}
	c := changeCodec[[]byte]{codec.Bytes{}}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := c.Decode(data)
		text, textErr := c.FormatText(data)
		if err != nil {
			if textErr == nil {
				t.Errorf("%q is refused, %v, and printed as %s", data, err, text)
			}
			return
		}
		if back, err := c.Encode(v); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%q is encoded anew as %q, %v", data, back, err)
		}
		if textErr != nil {
			t.Errorf("%q is not printed: %v", data, textErr)
		}
	})
}
