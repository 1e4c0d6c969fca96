package inputs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

var update = flag.Bool("update", false, "write what is printed into the scripts")

// Each script says what arrives of which input and when, and what is taken then. Its
// commands are
//
//	inputs NAME…         of the task, from offset 0
//	idle DURATION        MaxIdle
//	clock DURATION       since the start
//	arrive NAME TIME…    an answer with records of these times, and more to come
//	end NAME [SKIPPED]   an answer without records, past so many markers: that is all
//	lose NAME            nothing is known any more of what the broker has
//	take                 everything that can be
//
// The lines below take, which begin with "> ", are what it prints.
func TestMergeScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("script (-want +got):\n%s", diff)
			}
		})
	}
}

// play runs a script and returns it with what is really printed.
func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	m := &Merge{Time: func(r topology.Raw) time.Time { return r.Time }}
	named := map[string]*Input{}
	start := time.UnixMilli(0)
	now := start
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, ">") {
			continue
		}
		out.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		command, args := words[0], words[1:]
		duration := func() time.Duration {
			d, err := time.ParseDuration(args[0])
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		switch command {
		case "inputs":
			for _, name := range args {
				in := New(name, 0, -1, func() {})
				in.Start(0)
				named[name] = in
				m.Inputs = append(m.Inputs, in)
			}
		case "idle":
			m.MaxIdle = duration()
		case "clock":
			now = start.Add(duration())
		case "arrive":
			in := named[args[0]]
			b := batch(t, in.fetched, args[1:])
			next := in.fetched + int64(b.Len())
			in.take([]kafka.Batch{b}, next, next+10)
		case "end":
			in, skipped := named[args[0]], int64(0)
			if len(args) > 1 {
				n, err := strconv.Atoi(args[1])
				if err != nil {
					t.Fatal(err)
				}
				skipped = int64(n)
			}
			in.take(nil, in.fetched+skipped, in.fetched+skipped)
		case "lose":
			named[args[0]].lose()
		case "take":
			taken(&out, m, now)
		default:
			t.Fatalf("no command %q", command)
		}
	}
	return out.String()
}

func batch(t *testing.T, from int64, times []string) kafka.Batch {
	t.Helper()
	of := &sarama.RecordBatch{FirstOffset: from, FirstTimestamp: time.UnixMilli(0)}
	for i, text := range times {
		at, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		of.Records = append(of.Records, &sarama.Record{OffsetDelta: int64(i), TimestampDelta: time.Duration(at) * time.Millisecond})
	}
	return kafka.NewBatch(of)
}

// taken takes what can be taken, as a task does.
func taken(out *strings.Builder, m *Merge, now time.Time) {
	for {
		ready, again := m.Ready(now)
		if !ready {
			for _, in := range m.Awaited() {
				fmt.Fprintf(out, "> waits for %s\n", in.Topic())
			}
			if again > 0 {
				fmt.Fprintf(out, "> asks again in %v\n", again)
			}
			if m.Coming() {
				fmt.Fprintln(out, "> more is on its way")
			}
			for _, in := range m.Inputs {
				fmt.Fprintf(out, "> %s is at %d\n", in.Topic(), in.Next())
			}
			return
		}
		in := m.Next()
		if in == nil {
			fmt.Fprintln(out, "> ready, and nothing is known to be next")
			return
		}
		fmt.Fprintf(out, "> %s %d\n", in.Topic(), in.Record().Time.UnixMilli())
		in.Pass()
	}
}
