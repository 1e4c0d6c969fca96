//go:build unix

// Command bench measures tidemark on real servers, beside a consumer that keeps
// no table and a plain goka processor that do the same work. Each measured
// program is a process of its own, so that the system counts its CPU time and
// memory; every key of Redis is compared before a figure counts.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

func main() {
	err := run()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 3 && os.Args[1] == "work" {
		return work(os.Args[2])
	}
	b := &bench{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() { usageText(flags) }
	brokers := flags.String("brokers", cmp.Or(os.Getenv("TIDEMARK_BROKERS"), "127.0.0.1:9092"), "where Kafka is; $TIDEMARK_BROKERS")
	flags.StringVar(&b.redisAddr, "redis", cmp.Or(os.Getenv("TIDEMARK_REDIS"), "127.0.0.1:6379"), "where Redis is; $TIDEMARK_REDIS. It is emptied")
	flags.BoolVar(&b.flush, "flush", false, "empty Redis even if it holds something at the start")
	only := flags.String("only", "*", "names of measures with commas between, `*` for any letters")
	runs := flags.Int("runs", 3, "how often everything is done; medians are printed")
	records := flags.Int("records", 1_000_000, "how many records a journal has")
	partitions := flags.Int("partitions", 4, "of the journals")
	asJSON := flags.Bool("json", false, "print JSON instead of a table")
	flags.StringVar(&b.profile, "profile", "", "write a CPU profile of each process to `file`.<name>")
	drop := flags.Bool("drop", false, "remove the journals at the start and at the end; else a later run uses them")
	patience := flags.Duration("patience", 5*time.Minute, "how long a measure may take")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	b.brokers = strings.Split(*brokers, ",")
	b.few = journal{records: *records, keys: 10_000, partitions: int32(*partitions)}
	b.many = journal{records: *records, keys: 1_000_000, partitions: int32(*partitions)}
	b.patience = *patience
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return b.all(ctx, chosen, *runs, *drop, *asJSON)
}

func usageText(flags *flag.FlagSet) {
	fmt.Fprint(flags.Output(), "bench measures tidemark and its peers on a real Kafka and a real Redis.\n\nMeasures:\n")
	for _, m := range measures {
		fmt.Fprintf(flags.Output(), "  %-20s %s\n", m.name, m.about)
	}
	fmt.Fprint(flags.Output(), "\nFlags:\n")
	flags.PrintDefaults()
}

// choose returns the measures that one of the patterns names.
func choose(patterns string) ([]measure, error) {
	var chosen []measure
	for _, m := range measures {
		for pattern := range strings.SplitSeq(patterns, ",") {
			ok, err := path.Match(pattern, m.name)
			if err != nil {
				return nil, fmt.Errorf("-only %q: %w", pattern, err)
			}
			if ok {
				chosen = append(chosen, m)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-only %q names no measure: see -h", patterns)
	}
	return chosen, nil
}

func (b *bench) all(ctx context.Context, chosen []measure, runs int, drop, asJSON bool) (err error) {
	if b.kafka, err = referee.Open(b.brokers); err != nil {
		return err
	}
	defer b.kafka.Close()
	b.redis = referee.Dial(b.redisAddr)
	defer b.redis.Close()
	if err := b.redis.Claim(ctx, b.flush); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.redis.Claim(context.WithoutCancel(ctx), true)) }()
	if drop {
		if err := b.kafka.Drop("tidemark-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.kafka.Drop("tidemark-bench-")) }()
	}
	found, failed := b.repeat(ctx, chosen, runs)
	print := printTable
	if asJSON {
		print = printJSON
	}
	return errors.Join(print(os.Stdout, machine(ctx, b, runs), found), failed)
}
