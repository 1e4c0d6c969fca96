package processor_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/processor"
)

// nowhere is an address at which nothing listens: a processor that has got its
// identity waits there for Kafka.
const nowhere = "127.0.0.1:1"

// impatient is a Kafka configuration that finds nobody at once.
func impatient() *sarama.Config {
	c := sarama.NewConfig()
	c.Metadata.Retry.Max = 0
	return c
}

// holding starts a processor that holds a state directory and waits for Kafka.
func holding(t *testing.T, dir string) (end func() error) {
	t.Helper()
	p, err := processor.New(minimal(t), processor.Config{Brokers: []string{nowhere}, StateDir: dir, Kafka: impatient()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for p.Status().Waiting == nil {
		select {
		case err := <-ended:
			t.Fatalf("Run: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return func() error {
		stop()
		return <-ended
	}
}

// refused runs a processor that is not to get its state directory.
func refused(t *testing.T, dir string) string {
	t.Helper()
	p, err := processor.New(minimal(t), processor.Config{Brokers: []string{nowhere}, StateDir: dir, StartTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err = p.Run(t.Context()); err == nil {
		t.Fatal("Run: no error")
	}
	return err.Error()
}

func TestStateDirIsInUseHere(t *testing.T) {
	dir := t.TempDir()
	end := holding(t, dir)
	want := fmt.Sprintf("state directory %q is in use by another process", dir)
	if got := refused(t, dir); !strings.HasPrefix(got, want) {
		t.Errorf("error %q, want %q", got, want)
	}
	if err := end(); err != nil {
		t.Errorf("the first one: %v", err)
	}
	if err := holding(t, dir)(); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

const holdVariable = "TIDEMARK_TEST_HOLD"

// TestHold is the other process of TestStateDirIsInUseElsewhere.
func TestHold(t *testing.T) {
	dir := os.Getenv(holdVariable)
	if dir == "" {
		t.Skip("runs only within TestStateDirIsInUseElsewhere")
	}
	defer holding(t, dir)()
	fmt.Println("holding")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
}

func TestStateDirIsInUseElsewhere(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run=^TestHold$")
	other.Env = append(os.Environ(), holdVariable+"="+dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "holding"; {
	}
	want := fmt.Sprintf("state directory %q is in use by another process", dir)
	got := refused(t, dir)
	if !strings.HasPrefix(got, want) {
		t.Errorf("error %q, want %q", got, want)
	}
	before, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	if err != nil {
		t.Fatal(err)
	}

	// A process that was killed leaves no lock, and its successor is the same
	// instance.
	_ = other.Process.Kill()
	_ = other.Wait()
	if err := holding(t, dir)(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	if err != nil || string(before) != string(after) {
		t.Errorf("identity is %s (%v), was %s", after, err, before)
	}
}

// An identity of another application is refused: two would share its tables.
func TestIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "identity.json")
	if err := os.WriteFile(file, []byte(`{"application":"other","instance":"other-1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("state directory %q: %s", dir, `it belongs to application "other", not to "minimal": give each its own`)
	if got := refused(t, dir); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := holding(t, dir)(); err != nil {
		t.Errorf("after its removal, and so without the lock: %v", err)
	}
}

// An identity that is damaged, in whatever byte, is replaced by another or stays
// what it was. That of an older version, which has no check, stays.
func TestIdentityDamaged(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "identity.json")
	identity := func() string {
		t.Helper()
		if err := holding(t, dir)(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	whole := identity()
	damaged := map[string]string{"empty": "", "cut": whole[:20], "no instance": `{"application":"minimal"}`}
	for i := range whole {
		b := []byte(whole)
		b[i] ^= 1 << (i % 8)
		damaged[fmt.Sprintf("byte %d", i)] = string(b)
	}
	old := `{"application":"minimal","instance":"minimal-ABCDEFGHIJKL"}`
	for name, text := range damaged {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		switch after := identity(); after {
		case text: // of no consequence
			if instance := `"minimal-`; !strings.Contains(after, instance) || after[strings.Index(after, instance):][:22] != whole[strings.Index(whole, instance):][:22] {
				t.Errorf("%s: taken as it is: %s", name, text)
			}
		case whole:
			t.Errorf("%s: it is as before", name)
		}
	}
	if err := os.WriteFile(file, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := identity(); after != old {
		t.Errorf("that of an older version has become %s", after)
	}
}

func TestStateDirCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := refused(t, filepath.Join(file, "dir")), "state directory: mkdir "+file; !strings.HasPrefix(got, want) {
		t.Errorf("error %q, want %q", got, want)
	}
}
