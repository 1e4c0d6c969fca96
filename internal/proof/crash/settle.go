//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// settle waits until Redis is as the journal says, stops the workers and judges
// every place.
func (r *result) settle(ctx context.Context, o options, s *storm, target *referee.Target) error {
	c, err := referee.Open(o.brokers)
	if err != nil {
		return err
	}
	defer c.Close()
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	want := truth{rows: map[string]rows{}}
	for _, l := range o.workloads {
		w, n, err := l.expected(limited, c, r.Run)
		if err != nil {
			return err
		}
		want.rows[l.name] = w
		r.Records += n
	}
	if o.shop {
		books, n, err := shopExpected(limited, c, newShop(r.Run))
		if err != nil {
			return err
		}
		want.books = books
		r.Records += n
	}
	if o.program.odd {
		want.odd = map[string][]fate{}
		for _, d := range oddities {
			fates, n, err := d.fates(limited, c, r.Run)
			if err != nil {
				return err
			}
			want.odd[d.name] = fates
			r.Odd += n
		}
	}
	if err := r.drain(ctx, o, c, target, want); err != nil {
		return err
	}
	sleep(ctx, 2*time.Second) // what comes late is to be seen
	for _, l := range o.workloads {
		got, err := s.fleet.view(ctx, l)
		if err != nil {
			r.Places = append(r.Places, verdict{Place: l.name + " view", Wrong: 1, Examples: []string{err.Error()}})
			continue
		}
		r.Places = append(r.Places, l.compare("view", want.rows[l.name], got))
	}
	stopped := time.Now()
	s.fleet.close(false)
	r.StopSeconds = time.Since(stopped).Seconds()
	limited, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, l := range o.workloads {
		if err := r.judge(limited, o, l, c, target, want.rows[l.name]); err != nil {
			return err
		}
	}
	if o.program.odd {
		verdicts, refused, err := judgeOdd(limited, c, target, r.Run)
		if err != nil {
			return err
		}
		r.Places, r.Refused = append(r.Places, verdicts...), refused
	}
	if !o.shop {
		return nil
	}
	return r.judgeShop(limited, c, target, want.books)
}

// truth is what follows from what was read.
type truth struct {
	rows  map[string]rows // by workload
	books orders.Books    // of the shop
	odd   map[string][]fate
}

// drain waits until every row of Redis is right, and what the shop publishes, or
// until nothing has changed for so long that it will not be.
func (r *result) drain(ctx context.Context, o options, c *referee.Cluster, target *referee.Target, want truth) error {
	began, changed, before := time.Now(), time.Now(), ""
	patience := o.patience
	if o.atLeastOnce {
		patience = min(patience, 15*time.Second) // what is doubled never gets right
	}
	for said := time.Now(); ; {
		different, state := 0, ""
		for _, l := range o.workloads {
			got, _, err := l.inRedis(ctx, target, o.keys)
			if err != nil {
				return fmt.Errorf("wait for redis: %w", err)
			}
			different += l.compare("redis", want.rows[l.name], got).sum()
			state += fmt.Sprint(got)
		}
		if o.shop && different == 0 {
			n, err := shopBehind(ctx, c, target, newShop(r.Run), want.books)
			if err != nil {
				return fmt.Errorf("wait for the shop: %w", err)
			}
			different, state = n, fmt.Sprint(state, n)
		}
		if o.program.odd && different == 0 {
			n, err := oddBehind(ctx, c, target, r.Run, want.odd)
			if err != nil {
				return fmt.Errorf("wait for the odd records: %w", err)
			}
			different, state = n, fmt.Sprint(state, n)
		}
		if state != before {
			changed, before = time.Now(), state
		}
		if different == 0 || time.Since(changed) > patience {
			r.DrainSeconds = changed.Sub(began).Seconds()
			return nil
		}
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			say("draining: %d behind", different)
		}
		if sleep(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// view asks the instances for a table until one has an answer.
func (f *fleet) view(ctx context.Context, l workload) (rows, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var failed error
	for {
		for _, w := range f.workers {
			got, err := l.inView(ctx, w.job.Listen)
			if err == nil {
				return got, nil
			}
			failed = err
		}
		if sleep(ctx, 500*time.Millisecond); ctx.Err() != nil {
			return nil, errors.Join(failed, ctx.Err())
		}
	}
}

func (r *result) judge(ctx context.Context, o options, l workload, c *referee.Cluster, target *referee.Target, want rows) error {
	table, err := l.inTable(ctx, c, r.Run)
	if err != nil {
		return err
	}
	r.Places = append(r.Places, l.compare("table", want, table))
	got, strange, err := l.inRedis(ctx, target, o.keys)
	if err != nil {
		return err
	}
	v := l.compare("redis", want, got)
	if strange != 0 {
		v.Wrong += int64(max(strange, -strange))
		v.example("%d keys are not rows of the table", strange)
	}
	r.Places = append(r.Places, v)
	if !l.publishes {
		return nil
	}
	v, err = l.published(ctx, c, r.Run, want)
	if err != nil {
		return err
	}
	r.Places = append(r.Places, v)
	return nil
}

// judgeShop judges every place of the shop.
func (r *result) judgeShop(ctx context.Context, c *referee.Cluster, target *referee.Target, want orders.Books) error {
	kafka, err := shopInKafka(ctx, c, newShop(r.Run), r.Run)
	if err != nil {
		return err
	}
	redis, err := shopInRedis(ctx, target, newShop(r.Run))
	if err != nil {
		return err
	}
	r.Places = slices.Concat(r.Places, compareTables("table", want, kafka), compareTables("redis", want, redis), compareOutputs(want, kafka))
	return nil
}
