package topologytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// Line writes what became of a row, or a record that was published:
//
//	hello-state-store testid-01 = {"state":"HAPPY"}
//	hello-state-store testid-01 deleted
//
// The Topic of r is a topic, a store, or its changelog topic. What lies in another,
// which Route has chosen, is written as JSON if it is that, else as a string.
func Line(t testing.TB, topo *topology.Topology, r topology.Raw) string {
	t.Helper()
	key, value := string(r.Key), unknown(r.Value)
	if known(topo, r.Topic) {
		var err error
		if key, value, err = topo.Format(r); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case r.Key == nil:
		key = "-"
	case key == "" || key == "-" || strings.HasPrefix(key, `"`) || strings.ContainsFunc(key, unreadable):
		key = strconv.Quote(key)
	}
	name := r.Topic
	for _, g := range topo.Groups() {
		for _, s := range g.Stores {
			if s.Changelog == name {
				name = s.Name
			}
		}
	}
	if value == nil {
		return fmt.Sprintf("%s %s deleted", name, key)
	}
	return fmt.Sprintf("%s %s = %s", name, key, value)
}

// known tells whether a topology can print what lies in a topic.
func known(topo *topology.Topology, topic string) bool {
	for _, g := range topo.Groups() {
		for _, s := range g.Stores {
			if s.Changelog == topic {
				return true
			}
		}
	}
	return slices.Contains(topo.Topics(), topic) || slices.Contains(topo.Stores(), topic)
}

// unknown prints a value of which nothing is known.
func unknown(value []byte) []byte {
	var text bytes.Buffer
	if value == nil || json.Compact(&text, value) == nil && text.Len() > 0 {
		return text.Bytes()
	}
	quoted, _ := json.Marshal(string(value)) // a string can be
	return quoted
}

// Refusal writes what was refused, where, and why:
//
//	refused table hello-state-store: decode value: unexpected end of JSON input
func Refusal(err *topology.RecordError) string {
	return fmt.Sprintf("refused %s: %v", err.Node, err.Err)
}

func unreadable(r rune) bool { return r == ' ' || !strconv.IsPrint(r) }

// parseRecord reads "record TOPIC KEY JSON" or "raw TOPIC KEY TEXT".
func parseRecord(topo *topology.Topology, line string) (topology.Raw, error) {
	verb, rest, _ := strings.Cut(line, " ")
	if verb != "record" && verb != "raw" {
		return topology.Raw{}, fmt.Errorf("%q: a line begins with record or raw", verb)
	}
	topic, rest, _ := strings.Cut(rest, " ")
	key, rest, err := cutKey(rest)
	if err != nil {
		return topology.Raw{}, err
	}
	var value []byte
	if rest != "" {
		value = []byte(rest)
	}
	parsed := value
	if verb == "raw" {
		parsed = nil
	}
	missing := key == "-"
	if missing {
		key = "0" // text of a string, and of a number
	}
	if strings.HasPrefix(key, `"`) {
		key, _ = strconv.Unquote(key)
	}
	r, err := topo.Parse(topic, key, parsed)
	if err != nil {
		return topology.Raw{}, err
	}
	if missing {
		r.Key = nil
	}
	if verb == "raw" {
		r.Value = value
	}
	return r, nil
}

// cutKey cuts the first word, which may be quoted.
func cutKey(text string) (key, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		key, rest, _ = strings.Cut(text, " ")
		if key == "" {
			return "", "", errors.New("it has no key: is it \"-\"?")
		}
		return key, rest, nil
	}
	key, err = strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", fmt.Errorf("key %s: %w", text, err)
	}
	return key, strings.TrimPrefix(text[len(key):], " "), nil
}
