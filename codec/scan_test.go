package codec

import (
	"encoding/json"
	"strings"
	"testing"
)

// What scan takes for JSON is JSON.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"state":"HAPPY","helloCount":10,"x":[1,-2.5,{}],"y":null}`, ` [ true , false , null ] `, `""`, `-0.0`, `[]`, `{ }`,
		`01`, `-`, `1.`, `.5`, `[1,]`, `{"a"}`, `{"a":}`, `{,}`, `"\u00e9"`, `1e5`, `nul`, `{} {}`, `[`, ``, "\"\x01\"", "\"\xff\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if scan(data, 0, 0) == len(data) && !json.Valid(data) {
			t.Errorf("scan takes %q for JSON", data)
		}
	})
}

func TestScanTakesTheUsual(t *testing.T) {
	for _, s := range []string{
		`{"state":"HAPPY","helloCount":10,"helloTotalCount":-100.5,"tags":["a",{"b":{}}],"on":true,"off":false,"no":null}`,
		" [ ] ", "0", `"안녕"`,
	} {
		if scan([]byte(s), 0, 0) != len(s) {
			t.Errorf("scan is not sure of %s", s)
		}
	}
	deep := strings.Repeat("[", 9999) + strings.Repeat("]", 9999)
	if err := (JSON[[]any]{}).Check([]byte(deep)); err != nil {
		t.Errorf("deep: %v", err)
	}
}
