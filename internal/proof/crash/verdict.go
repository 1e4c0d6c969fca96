//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	"github.com/tidemark-dev/tidemark/topology"
)

// A verdict is how one place differs from what the journal says it must hold.
type verdict struct {
	Place    string   `json:"place"`
	Lost     int64    `json:"lost"`    // records without an effect, or rows that are too old
	Doubled  int64    `json:"doubled"` // records with more than one
	Wrong    int64    `json:"wrong"`   // rows that follow from no part of the journal
	Examples []string `json:"examples,omitempty"`
}

func (v *verdict) example(format string, args ...any) {
	if len(v.Examples) < 5 {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// sum returns how many differences there are.
func (v verdict) sum() int { return int(v.Lost + v.Doubled + v.Wrong) }

// rows are the numbers of a table's rows by key.
type rows map[string]int64

// expected reads the journal and returns the rows that follow from it. The
// journal is the only truth: what was sent while a broker died may not be in it.
func (l workload) expected(ctx context.Context, c *referee.Cluster, run string) (want rows, records int, err error) {
	want, last := rows{}, rows{}
	err = c.Read(ctx, l.journal(run), func(r topology.Raw) error {
		records++
		key := string(r.Key)
		if l.counts {
			want[key]++
			return nil
		}
		if r.Value == nil {
			delete(want, key)
			return nil
		}
		number, err := l.number(r.Value)
		if err != nil || number <= last[key] || number >= aborted {
			return fmt.Errorf("the journal itself is wrong at %s: number %d after %d: %w", r.Position, number, last[key], err)
		}
		want[key], last[key] = number, number
		return nil
	})
	return want, records, err
}

// compare judges the rows that a place has.
func (l workload) compare(place string, want, got rows) verdict {
	v := verdict{Place: l.name + " " + place}
	for key, number := range want {
		has := got[key]
		switch {
		case has == number:
		case l.counts && has > number:
			v.Doubled += has - number
			v.example("%s: %d, not %d", key, has, number)
		case l.counts:
			v.Lost += number - has
			v.example("%s: %d, not %d", key, has, number)
		case has < number:
			v.Lost++
			v.example("%s: %d, not %d", key, has, number)
		default:
			v.Wrong++
			v.example("%s: %d, not %d", key, has, number)
		}
	}
	for key, has := range got {
		if _, ok := want[key]; !ok {
			v.Lost++ // a tombstone was
			v.example("%s: %d, although it was deleted", key, has)
		}
	}
	return v
}

// inRedis returns the rows that Redis has, and how many of its keys are none.
func (l workload) inRedis(ctx context.Context, t *referee.Target, keys int) (got rows, strange int, err error) {
	got = rows{}
	err = t.Values(ctx, l.redisKeys(keys), func(i int, value []byte) {
		if value == nil {
			return
		}
		number, err := l.numberOfText(value)
		if err != nil {
			number = -1
		}
		got[l.key(i)] = number
	})
	if err != nil {
		return nil, 0, err
	}
	all, err := t.Count(ctx, l.redisKey(""))
	return got, all - len(got), err
}

// inTable returns the rows of the changelog.
func (l workload) inTable(ctx context.Context, c *referee.Cluster, run string) (rows, error) {
	got := rows{}
	err := c.Read(ctx, l.changelog(run), func(r topology.Raw) error {
		if r.Value == nil {
			delete(got, string(r.Key))
			return nil
		}
		number, err := l.number(r.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Position, err)
		}
		got[string(r.Key)] = number
		return nil
	})
	return got, err
}

// inView returns the rows that an instance serves, its own and the others'.
func (l workload) inView(ctx context.Context, address string) (rows, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v1/tables/%s?limit=10000", address, l.store), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got := rows{}
	for lines := json.NewDecoder(answer.Body); lines.More(); {
		var row struct {
			Key   string
			Value json.RawMessage
			Error string
		}
		if err := lines.Decode(&row); err != nil {
			return nil, err
		}
		if row.Error != "" || answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s: %s", req.URL, answer.Status, row.Error)
		}
		if got[row.Key], err = l.numberOfText(row.Value); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// published judges the output topic: of each key 1, 2, 3 and so on to the end.
func (l workload) published(ctx context.Context, c *referee.Cluster, run string, want rows) (verdict, error) {
	v := verdict{Place: l.name + " output"}
	last := rows{}
	err := c.Read(ctx, l.output(run), func(r topology.Raw) error {
		key := string(r.Key)
		number, err := l.number(r.Value)
		switch next := last[key] + 1; {
		case err != nil:
			v.Wrong++
			v.example("%s: %v", r.Position, err)
		case number < next:
			v.Doubled++
			v.example("%s: %s: %d after %d", r.Position, key, number, last[key])
		default:
			v.Lost += number - next
			if number > next {
				v.example("%s: %s: %d after %d", r.Position, key, number, last[key])
			}
			last[key] = number
		}
		return nil
	})
	for key, number := range want {
		switch has := last[key]; {
		case has < number:
			v.Lost += number - has
			v.example("%s ends at %d, not %d", key, has, number)
		case has > number:
			v.Doubled += has - number
			v.example("%s ends at %d, not %d", key, has, number)
		}
	}
	return v, err
}
