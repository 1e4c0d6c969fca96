package cmd

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
)

func TestRun(t *testing.T) {
	flags, err := embedded.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := session{settings: settingsFrom(processor.Config{Brokers: []string{flags["brokers"]}})}
	client, err := s.kafka(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := createTopics(client, []string{"counts"}, 3); err != nil {
		t.Fatal(err)
	}
	l, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	args := []string{"run", "--brokers", flags["brokers"], "--state-dir", t.TempDir(), "--addr", address}
	if code, _, stderr := invoke(t, program(), "", args...); code != 1 || !strings.Contains(stderr, address+" is taken") {
		t.Errorf("a taken port: exit %d, %s", code, stderr)
	}
	l.Close()

	signals := make(chan os.Signal, 1)
	go func() {
		for t.Context().Err() == nil {
			if code, _, _ := invoke(t, program(), "", "status", "--addr", address); code == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		signals <- syscall.SIGTERM
	}()
	code, stdout, stderr := invokeUntil(t, program(), signals, "", args...)
	if code != 0 || stdout != "" || !strings.Contains(stderr, "application counter") ||
		!strings.Contains(stderr, "msg=ended command=run exit_code=0 signal=terminated") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

func TestSecondSignal(t *testing.T) {
	p := program()
	p.Commands[0].Run = func(context.Context, *processor.Processor, []string) error { select {} }
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGINT
	if code, _, _ := invokeUntil(t, p, signals, "", "own"); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
}

// What others are told is the address at which the instance listens, if it is one.
func TestAdvertise(t *testing.T) {
	for addr, set := range map[string]string{"127.0.0.1:0": "", "localhost:0": "", ":0": "", "0.0.0.0:0": "", "localhost:00": "elsewhere:1"} {
		l, err := listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		s := session{}
		s.settings.config.Advertise = set
		s.advertise(l)
		want := l.Addr().String()
		switch {
		case set != "":
			want = set
		case addr == ":0" || addr == "0.0.0.0:0":
			want = ""
		}
		if got := s.settings.config.Advertise; got != want {
			t.Errorf("%s: advertises %q, want %q", addr, got, want)
		}
		l.Close()
	}
}
