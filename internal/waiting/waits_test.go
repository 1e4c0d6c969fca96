package waiting

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waitLog is a log whose lines begin with the seconds since its start.
func waitLog() (*Waits, func() []string) {
	var text bytes.Buffer
	began := time.Now()
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey:
				return slog.String("at", fmt.Sprint(time.Since(began)))
			case slog.LevelKey:
				return slog.Attr{}
			}
			return a
		},
	}))
	return New(log), func() []string {
		synctest.Wait()
		defer text.Reset()
		return strings.FieldsFunc(text.String(), func(r rune) bool { return r == '\n' })
	}
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestWaitIsToldWhenItBeginsLastsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines := waitLog()
		refused := errors.New("connection refused: is it running?")
		for range 200 { // what is tried again and again begins once
			w.Set("Kafka", "", refused)
			time.Sleep(500 * time.Millisecond)
		}
		wantLines(t, lines(),
			`at=0s msg=waiting for=Kafka error="connection refused: is it running?" since=0s`,
			`at=5s msg=waiting for=Kafka error="connection refused: is it running?" since=5s`,
			`at=15s msg=waiting for=Kafka error="connection refused: is it running?" since=15s`,
			`at=35s msg=waiting for=Kafka error="connection refused: is it running?" since=35s`,
			`at=1m5s msg=waiting for=Kafka error="connection refused: is it running?" since=1m5s`,
			`at=1m35s msg=waiting for=Kafka error="connection refused: is it running?" since=1m35s`)
		if got, want := fmt.Sprint(w.List()), "[waiting for Kafka for 1m40s: connection refused: is it running?]"; got != want {
			t.Errorf("list %s, want %s", got, want)
		}
		w.Clear("Kafka", "")
		w.Clear("Kafka", "")
		time.Sleep(time.Hour)
		wantLines(t, lines(), `at=1m45s msg="waits no longer" for=Kafka waited=1m40s`)
		if got := w.List(); got != nil {
			t.Errorf("still waits: %v", got)
		}
	})
}

func TestWaitWhoseCauseChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines := waitLog()
		w.Set("Kafka", "", errors.New("one"))
		time.Sleep(2 * time.Second)
		for n := range 10 { // a cause that goes back and forth floods nobody
			w.Set("Kafka", "", errors.New([]string{"two", "one"}[n%2]))
		}
		wantLines(t, lines(),
			"at=0s msg=waiting for=Kafka error=one since=0s",
			"at=2s msg=waiting for=Kafka error=two since=2s")
		w.End()
		time.Sleep(time.Hour)
		wantLines(t, lines())
	})
}

func TestWaitThatIsUsual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines := waitLog()
		for range 10 { // what is soon over is not worth a line
			w.Expect("group a", "", "its members share the partitions out")
			time.Sleep(2 * time.Second)
			if n := len(w.List()); n != 1 {
				t.Errorf("%d waits are listed, want 1", n)
			}
			w.Clear("group a", "")
		}
		wantLines(t, lines())
		for left := range 20 { // the cause may tell of progress
			w.Expect("table t", "", fmt.Sprint(20-left, " records to go"))
			time.Sleep(999 * time.Millisecond)
		}
		w.Clear("table t", "")
		time.Sleep(time.Minute)
		wantLines(t, lines(),
			`at=23s msg=waiting for="table t" error="17 records to go" since=3s`,
			`at=28s msg=waiting for="table t" error="12 records to go" since=8s`,
			`at=38s msg=waiting for="table t" error="2 records to go" since=18s`,
			`at=44.98s msg="waits no longer" for="table t" waited=19.98s`)
	})
}

func TestWaitOfSeveralPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines := waitLog()
		down := errors.New("down")
		for p := range 64 {
			w.Set("sink a", fmt.Sprint(p), down)
		}
		w.Set("sink b", "0", down)
		time.Sleep(time.Second)
		for p := range 64 {
			w.Clear("sink a", fmt.Sprint(p))
		}
		if got, want := fmt.Sprint(w.List()), "[waiting for sink b for 1s: down]"; got != want {
			t.Errorf("list %s, want %s", got, want)
		}
		time.Sleep(calm - time.Second + time.Millisecond)
		w.Clear("sink b", "0")
		time.Sleep(time.Minute)
		wantLines(t, lines(),
			`at=0s msg=waiting for="sink a" error=down since=0s`,
			`at=0s msg=waiting for="sink b" error=down since=0s`,
			`at=5s msg=waiting for="sink b" error=down since=5s`,
			`at=6s msg="waits no longer" for="sink a" waited=1s`,
			`at=10.001s msg="waits no longer" for="sink b" waited=5.001s`)
	})
}

func TestWaitThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines := waitLog()
		for range 30 { // a session that begins, and fails again
			w.Set("a session", "", errors.New("no replicas"))
			time.Sleep(time.Second)
			w.Clear("a session", "")
			if n := len(w.List()); n != 0 {
				t.Errorf("%d waits are listed, want none", n)
			}
			time.Sleep(999 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		got := lines()
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " for=")
		}
		wantLines(t, got, "at=0s msg=waiting", "at=5.997s msg=waiting", "at=15.997s msg=waiting", "at=35.997s msg=waiting", `at=1m3.971s msg="waits no longer"`)
	})
}
