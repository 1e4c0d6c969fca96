package topology_test

import (
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// mistakes returns what Build has found, without the places, which each has.
func mistakes(t testing.TB, err error) string {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %v, want one of Build", err)
	}
	var texts []string
	for _, err := range joined.Unwrap() {
		place, text, _ := strings.Cut(err.Error(), ": ")
		if !regexp.MustCompile(`^[a-z_]+_test\.go:[1-9][0-9]*$`).MatchString(place) {
			t.Errorf("%q begins with no place of the test", err)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n")
}

// here returns the number of the line that calls it.
func here() int {
	_, _, line, _ := runtime.Caller(1)
	return line
}

// Each mistake has the line of the program that made it: also one that only the
// whole shows, one of what a helper of the program declares, and one of a setup.
func TestPlacesOfMistakes(t *testing.T) {
	words := topology.JSONTopic[string]("words")
	first := here()
	b := topology.NewBuilder("a b")
	topology.Consume(b, words)
	topology.Count(topology.Consume(b, topology.Topic[string, string]{Name: "others", Key: codec.String{}}), counts)
	declareSpoken(b)
	topology.Process(topology.Consume(b, words), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
		topology.Open(c, topology.Store[string, string]{Name: "s"})
		return func(topology.Record[string, string]) error { return nil }
	})
	topology.Publish(topology.Consume(b, words), words)
	_, err := b.Build()
	if err == nil {
		t.Fatal("built")
	}
	lines := map[string]int{}
	for _, text := range strings.Split(err.Error(), "\n") {
		place, what, _ := strings.Cut(text, ": ")
		what, _, _ = strings.Cut(what, ": ")
		file, line, _ := strings.Cut(place, ":")
		if file != "place_test.go" {
			t.Errorf("mistake in %s: %s", file, text)
		}
		n := 0
		for _, digit := range line {
			n = n*10 + int(digit-'0')
		}
		lines[what] = n - first
	}
	want := map[string]int{
		`application "a b"`: 1, `topic "others"`: 3, "filter 1": lineOfSpoken - first, `store "s"`: 6, `topic "words"`: 9,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s\n%v", diff, err)
	}
}

var lineOfSpoken int

func declareSpoken(b *topology.Builder) {
	lineOfSpoken = here() + 1
	topology.ForEach(topology.Filter(topology.Consume(b, topology.JSONTopic[string]("spoken")), nil), func(_, _ string) {})
}
