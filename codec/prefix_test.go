package codec_test

import (
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func FuzzPrefixEnd(f *testing.F) {
	f.Add([]byte("a"), []byte("ab"))
	f.Add([]byte(""), []byte("\xff"))
	f.Add([]byte("\xff"), []byte("\xff\xff"))
	f.Add([]byte("\xfb"), []byte("\xff"))
	f.Add([]byte("x\uFFFD"), []byte("x\uFFFD1"))
	f.Add([]byte("x\uFFFD"), []byte("x😀"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\xff"), []byte("\x00\x00\x00\x00\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, prefix, key []byte) {
		end := codec.PrefixEnd(prefix)
		inside := string(key) >= string(prefix) && (end == nil || string(key) < string(end))
		if begins := strings.HasPrefix(string(key), string(prefix)); begins != inside {
			t.Errorf("key %q, prefix %q, end %q: in the range is %v", key, prefix, end, inside)
		}
	})
}
