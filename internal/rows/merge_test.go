package rows_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/topology"
)

type stream = iter.Seq2[topology.Raw, error]

// part yields rows with some keys, and then an error if there is one.
func part(err error, keys ...string) stream {
	return func(yield func(topology.Raw, error) bool) {
		for _, key := range keys {
			if !yield(topology.Raw{Key: []byte(key)}, nil) {
				return
			}
		}
		if err != nil {
			yield(topology.Raw{}, err)
		}
	}
}

// open yields rows with some keys, and ends with ctx.
func open(ctx context.Context, keys ...string) stream {
	return func(yield func(topology.Raw, error) bool) {
		part(nil, keys...)(yield)
		<-ctx.Done()
	}
}

// keys returns the keys of at most n rows, and the error behind them.
func keys(s stream, n int) (got []string, last error) {
	for r, err := range s {
		if err != nil {
			return got, err
		}
		if got = append(got, string(r.Key)); len(got) == n {
			break
		}
	}
	return got, nil
}

func TestByKey(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		parts []stream
		most  int
		want  string
		err   error
	}{
		{nil, 9, "[]", nil},
		{[]stream{part(nil, "b", "c")}, 9, "[b c]", nil},
		{[]stream{part(nil, "b", "e"), part(nil), part(nil, "a", "c", "d"), part(nil, "f")}, 9, "[a b c d e f]", nil},
		{[]stream{part(nil, "b", "e"), part(nil, "a", "c", "d")}, 2, "[a b]", nil},
		{[]stream{part(nil, "b", "e"), part(broken, "a", "c")}, 9, "[a b c]", broken},
		{[]stream{part(broken), part(nil, "a")}, 9, "[]", broken},
	} {
		got, err := keys(rows.ByKey(c.parts), c.most)
		if fmt.Sprint(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("got %v, %v, want %s, %v", got, err, c.want, c.err)
		}
	}
}

func TestAsTheyCome(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		made func(ctx context.Context) []stream
		most int
		want []string
		err  error
	}{
		"enough":             {func(ctx context.Context) []stream { return []stream{open(ctx, "a", "b"), open(ctx, "c")} }, 3, []string{"a", "b", "c"}, nil},
		"a part ends":        {func(ctx context.Context) []stream { return []stream{open(ctx), part(nil)} }, 9, nil, nil},
		"a part is in error": {func(ctx context.Context) []stream { return []stream{open(ctx), part(broken, "a")} }, 9, []string{"a"}, broken},
	} {
		var parts context.Context
		got, err := keys(rows.AsTheyCome(t.Context(), func(ctx context.Context) []stream {
			parts = ctx
			return c.made(ctx)
		}), c.most)
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v; %s", name, err, diff)
		}
		if parts.Err() == nil {
			t.Errorf("%s: the parts go on", name)
		}
	}
}

// Without a part, as with parts in which nothing happens, it ends with its context.
func TestAsTheyComeEndsWithItsContext(t *testing.T) {
	for _, n := range []int{0, 2} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := keys(rows.AsTheyCome(ctx, func(ctx context.Context) []stream {
			return slices.Repeat([]stream{open(ctx)}, n)
		}), 9)
		if got != nil || err != nil {
			t.Errorf("%d parts: %v, %v", n, got, err)
		}
	}
}
