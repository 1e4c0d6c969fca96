package cmd

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParser(t *testing.T) {
	for _, c := range []struct {
		args, want []string
		output     string
		wrong      string
	}{
		{args: []string{"get", "-o", "json", "table", "key"}, want: []string{"get", "table", "key"}, output: "json"},
		{args: []string{"scan", "table", "--o=json"}, want: []string{"scan", "table"}, output: "json"},
		{args: []string{"table", "-5", "-"}, want: []string{"table", "-5", "-"}},
		{args: []string{"table", "--", "-o", "--null"}, want: []string{"table", "-o", "--null"}},
		{args: []string{"--null", "key"}, want: []string{"key"}},
		{args: []string{"--nul", "-wait", "soon", "--o"}, wrong: `--nul: there is no such flag, did you mean "null"?
--wait: "soon": want a duration, such as 100ms or 1m30s
-o: a value is missing`},
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		output := flags.String("o", "", "")
		flags.Bool("null", false, "")
		flags.Duration("wait", time.Second, "")
		p := newParser(flags)
		if got := p.all(c.args); c.wrong == "" && !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.args, got, c.want)
		}
		if err := errors.Join(p.wrong...); c.wrong != "" && (err == nil || err.Error() != c.wrong) || c.wrong == "" && err != nil {
			t.Errorf("%v: got %v, want %s", c.args, err, c.wrong)
		}
		if *output != c.output {
			t.Errorf("%v: -o is %q, want %q", c.args, *output, c.output)
		}
	}
}

// A flag beats the environment, which beats the default.
func TestEnvironment(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	one := flags.String("state-dir", "default", "")
	two := flags.String("addr", "default", "")
	three := flags.String("redis", "default", "")
	flags.Int("records", 0, "")
	env := map[string]string{"TIDEMARK_STATE_DIR": "env", "TIDEMARK_ADDR": "env", "TIDEMARK_RECORDS": "many"}
	p := newParser(flags)
	p.all([]string{"--addr", "flag"})
	p.environment(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if *one != "env" || *two != "flag" || *three != "default" {
		t.Errorf("got %q, %q, %q", *one, *two, *three)
	}
	if len(p.wrong) != 1 || !strings.HasPrefix(p.wrong[0].Error(), `TIDEMARK_RECORDS: "many": want a number`) {
		t.Errorf("got %v", p.wrong)
	}
}

func FuzzDistance(f *testing.F) {
	f.Add("run", "rum")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := distance(a, b)
		if d != distance(b, a) || d > max(len(a), len(b)) || (d == 0) != (a == b) {
			t.Errorf("%q to %q: %d", a, b, d)
		}
	})
}
