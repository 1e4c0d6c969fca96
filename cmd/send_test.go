package cmd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestSend(t *testing.T) {
	flags, err := embedded.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(stdin string, args ...string) (int, string) {
		t.Helper()
		code, _, stderr := invoke(t, program(), stdin, append([]string{"send", "counts", "--brokers", flags["brokers"]}, args...)...)
		return code, stderr
	}
	if code, stderr := send("", "k", `{"n":1}`); code != 1 || !strings.Contains(stderr, `topic "counts" does not exist`) {
		t.Errorf("exit %d, %s", code, stderr)
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
	for _, c := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{"k", `{"n":1}`}, 0, "1 record sent"},
		{"", []string{"k", "--null"}, 0, "1 record sent"},
		{"a\t{\"n\":2}\n\nb\t{\"n\": 3}\r\nc d\t{\"n\":4}", nil, 0, "3 records sent"},
		{"a\nb c\n", []string{"--null"}, 0, "2 records sent"},
		{"a\t{\"n\":5}\nb\t{\"n\":\n", nil, 1, "line 2: topic \"counts\": value"},
		{"a\n", nil, 1, "line 1: \"a\" has a key and no value"},
		{"the quick brown fox\n", nil, 1, "has a key and no value"},
		{"u\t{\"n\": 1,\"new\":[1,2]}\nu2\t{\"new\":1}\n", nil, 0, `warning: unknown field "new"`},
		{"e:f:{\"n\":6}\n", []string{"--key-separator", ":f:"}, 0, "1 record sent"},
		{"x\\n\\xfb\t{\"n\":7}\n", nil, 0, "1 record sent"},
		{"", []string{`y\x00`, `{"n":8}`}, 0, "1 record sent"},
		{"t\tnull\nt2\t{\"n\":9}\n", []string{"--null"}, 0, "2 records sent"},
		{"t\tnull\n", nil, 1, "null is a tombstone"},
		{"{\"n\":10}\n{\"n\":11}\n", []string{"--no-key"}, 0, "2 records sent"},
		{"", []string{`{"n":12}`, "--no-key"}, 0, "1 record sent"},
	} {
		if code, stderr := send(c.stdin, c.args...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q %q: exit %d, %s", c.stdin, c.args, code, stderr)
		}
	}
	keyless := 0
	got := map[string]string{}
	for partition := range int32(3) {
		err := readPartition(t.Context(), client, "counts", partition, func(r topology.Raw) error {
			if p := topology.Partition(r.Key, 3); p != r.Partition && r.Key != nil {
				t.Errorf("%s is in partition %d, want %d", r.Key, r.Partition, p)
			}
			if r.Key == nil {
				keyless++
				return nil
			}
			got[string(r.Key)] += string(r.Value) + ";"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"k": `{"n":1};;`, "a": `{"n":2};;{"n":5};`, "b": `{"n": 3};`, "c d": `{"n":4};`, "b c": ";",
		"u": `{"n": 1,"new":[1,2]};`, "u2": `{"new":1};`, "e": `{"n":6};`, "x\n\xfb": `{"n":7};`, "y\x00": `{"n":8};`, "t": ";", "t2": `{"n":9};`,
	}
	if keyless != 3 {
		t.Errorf("%d records have no key, want 3", keyless)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 12: "12", 123: "123", 1234: "1,234", -123: "-123", -1234567: "-1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// What is too large is what the topic says, not the client.
func TestSendLargeRecords(t *testing.T) {
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
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	bytes := "3000000"
	if err := admin.CreateTopic("counts", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1, ConfigEntries: map[string]*string{"max.message.bytes": &bytes}}, false); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]string{
		2_500_000: "1 record sent",
		3_100_000: `key "k": with a key of 1 and a value of 3100016 bytes the record is larger than the topic takes (max.message.bytes)`,
	} {
		line := "k\t" + `{"n":1,"pad":"` + strings.Repeat("x", size) + "\"}\n"
		if _, _, stderr := invoke(t, program(), line, "send", "counts", "--brokers", flags["brokers"]); !strings.Contains(stderr, want) {
			t.Errorf("%d bytes: %s", size, stderr)
		}
	}
}

// An address that accepts and never answers costs --start-timeout, and a signal ends
// the wait.
func TestSendWithoutAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	args := []string{"send", "counts", "k", `{"n":1}`, "--brokers", l.Addr().String(), "--start-timeout"}
	if code, _, stderr := invoke(t, program(), "", append(args, "200ms")...); code != 1 || !strings.Contains(stderr, "within --start-timeout, 200ms") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	if code, _, stderr := invokeUntil(t, program(), signals, "", append(args, "1h")...); code != 143 {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := invoke(t, program(), "", "send", "counts", "k", `{"n":1}`, "--brokers", "here"); code != 2 || !strings.Contains(stderr, `--brokers: "here" is not host:port`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
