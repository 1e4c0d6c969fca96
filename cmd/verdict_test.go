package cmd

import (
	"bytes"
	"strings"
	"testing"
)

func TestCompared(t *testing.T) {
	c := compared("here", texts{"a": "1", "b": "2", "c": "3"}, texts{"a": "1", "b": "0", "d": "4"})
	if c.right != 1 || c.wrong != 1 || c.missing != 1 || c.extra != 1 || c.example == "" || c.agrees() {
		t.Errorf("got %+v", c)
	}
}

func TestTell(t *testing.T) {
	right := comparison{place: "table latest", right: 2}
	wrong := comparison{place: "redis", right: 1, wrong: 1, example: "b is 1, should be 2"}
	for _, c := range []struct {
		verdict verdict
		code    int
		want    string
	}{
		{verdict{sent: 5, journal: 5, due: 5, done: 5, comparisons: []comparison{right}}, 0, "agree"},
		{verdict{sent: 5, journal: 6, due: 6, done: 4, comparisons: []comparison{right}}, 0, "agree"},
		{verdict{sent: 5, journal: 5, due: 5, done: 5, comparisons: []comparison{right, wrong}}, exitDiffers, "b is 1, should be 2"},
		{verdict{sent: 5, journal: 4, due: 4, done: 4, comparisons: []comparison{right}}, exitDiffers, "5 records acknowledged, 4 in the journal"},
		{verdict{sent: 5, journal: 5, due: -1, done: 9, comparisons: []comparison{right}}, 0, "agree"},
		{verdict{sent: 5, journal: 5, due: 5, done: 4, left: 1, comparisons: []comparison{right}}, exitDiffers, "4 processed here, 1 left"},
		{verdict{sent: 5, journal: 5, due: 5, done: 6, comparisons: []comparison{right}}, exitDiffers, "6 processed"},
	} {
		var out bytes.Buffer
		d := demo{session: &session{stdout: &out}}
		if code := report(&bytes.Buffer{}, "demo", d.tell(c.verdict), nil); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%+v: exit %d, %s", c.verdict, code, &out)
		}
	}
}
