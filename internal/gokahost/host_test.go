package gokahost

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A fake task notes what is done to it, and works for some turns.
type fake struct {
	opening error
	refuses bool // to work
	work    func(ctx context.Context, turn func(func()) bool)
	did     []string
}

func (f *fake) note(what string) { f.did = append(f.did, what) }

func (f *fake) Open() error {
	f.note("open")
	return f.opening
}

func (f *fake) Close() error {
	if f.did[len(f.did)-1] != "close" { // it may be called again
		f.note("close")
	}
	return nil
}

func (f *fake) Get(key []byte) ([]byte, error) {
	if string(key) == "anna" {
		return []byte("committed"), nil
	}
	return nil, nil
}

func (f *fake) Position() int64 { return 7 }

func (f *fake) Begin(opened error) (bool, error) {
	f.note("begin")
	return opened == nil && !f.refuses, opened
}

func (f *fake) Work(ctx context.Context, turn func(func()) bool) {
	f.note("work")
	f.work(ctx, turn)
}

func (f *fake) End() { f.note("end") }

func (f *fake) host(ctx context.Context, table bool) *Host {
	return &Host{
		Group: "group", Stream: "journal", Table: table, Task: f, Context: ctx,
		Partitions: func(string) ([]int32, error) { return []int32{0}, nil },
	}
}

// goka opens the table, runs each turn, and closes the table; its own Get answers from
// the rows that are committed.
func TestHost(t *testing.T) {
	for name, table := range map[string]bool{"with a table": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			h := f.host(t.Context(), table)
			f.work = func(_ context.Context, turn func(func()) bool) {
				for range 3 {
					if !turn(func() { f.note("turn") }) {
						t.Error("a turn is not run")
					}
				}
				if !table {
					return
				}
				if got, err := h.processor.Get("anna"); err != nil || string(got.([]byte)) != "committed" {
					t.Errorf("goka has %q, %v", got, err)
				}
				if got, err := h.processor.Get("nobody"); err != nil || got != nil {
					t.Errorf("goka has %q, %v, of an absent key", got, err)
				}
			}
			if err := h.Run(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(f.did, " "); got != "open begin work turn turn turn end close" {
				t.Errorf("it did: %s", got)
			}
		})
	}
}

// A table that cannot be opened is the error, and nothing is worked.
func TestHostCannotOpen(t *testing.T) {
	for name, table := range map[string]bool{"with a table": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			broken := errors.New("broken")
			f := &fake{opening: broken}
			if err := f.host(t.Context(), table).Run(); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(f.did, " "); !strings.HasPrefix(got, "open ") || strings.Contains(got, "work") || !strings.HasSuffix(got, "close") {
				t.Errorf("it did: %s", got)
			}
		})
	}
}

// A task that does not begin is closed.
func TestHostDoesNotBegin(t *testing.T) {
	f := &fake{refuses: true}
	if err := f.host(t.Context(), true).Run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.did, " "); got != "open begin close" {
		t.Errorf("it did: %s", got)
	}
}

// A partition that is revoked ends the work, and a turn that waits.
func TestHostIsRevoked(t *testing.T) {
	ctx, revoke := context.WithCancel(t.Context())
	f := &fake{}
	f.work = func(ctx context.Context, turn func(func()) bool) {
		revoke()
		<-ctx.Done()
		if turn(func() { t.Error("a turn is run") }) {
			t.Error("a turn counts as run")
		}
	}
	if err := f.host(ctx, true).Run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.did, " "); got != "open begin work end close" {
		t.Errorf("it did: %s", got)
	}
}
