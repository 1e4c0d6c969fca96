//go:build unix

// Command crash proves that tidemark's promises hold when things die: it runs a
// program of tidemark's in real processes, kills and freezes these, their Redis
// and their Kafka at random while records come in, and compares every key of
// journal, table, output and Redis at the end. It ends with 1 if anything was
// lost, doubled or wrong, went back in Redis even for a moment, or if a process
// ended by itself.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 3 && os.Args[1] == "work" {
		return work(os.Args[2])
	}
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return test(ctx, o)
}

// options are what the command line says.
type options struct {
	brokers     []string
	redis       string
	kafkaScript string
	redisScript string
	cluster     string // script of three brokers
	records     int
	keys        int
	odd         int // records
	length      time.Duration
	kills       int
	instances   int
	names       string // of the workloads
	program
	kinds       []kind
	atLeastOnce bool
	seed        uint64
	short       bool
	asJSON      bool
	flush       bool
	keep        bool
	patience    time.Duration
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.Usage = func() { help(flags) }
	brokers := flags.String("brokers", cmp.Or(os.Getenv("TIDEMARK_BROKERS"), "127.0.0.1:9092"), "where Kafka is; $TIDEMARK_BROKERS")
	flags.StringVar(&o.redis, "redis", cmp.Or(os.Getenv("TIDEMARK_REDIS"), "127.0.0.1:6379"), "where Redis is; $TIDEMARK_REDIS. It is emptied, often")
	flags.StringVar(&o.kafkaScript, "kafka-script", os.Getenv("TIDEMARK_KAFKA_SCRIPT"), "`program` that takes start, stop or kill for that broker; $TIDEMARK_KAFKA_SCRIPT")
	flags.StringVar(&o.redisScript, "redis-script", os.Getenv("TIDEMARK_REDIS_SCRIPT"), "`program` that takes start, stop or kill for that Redis; $TIDEMARK_REDIS_SCRIPT")
	flags.StringVar(&o.cluster, "cluster-script", "", "`program` that takes start, kill N, freeze N or thaw N for three brokers, and prints their addresses at start: runs on them, and kills, freezes and moves them")
	flags.BoolVar(&o.short, "short", false, "a run for every day: other defaults for -records, -for and -kills")
	flags.IntVar(&o.records, "records", 0, "how many records come in (1,000,000; short 120,000)")
	flags.DurationVar(&o.length, "for", 0, "how long they come in (7m; short 60s)")
	flags.IntVar(&o.kills, "kills", 0, "how many workers are killed; other faults in proportion (60; short 10)")
	flags.IntVar(&o.keys, "keys", 2000, "of each workload")
	flags.IntVar(&o.instances, "instances", 3, "most workers at a time")
	flags.StringVar(&o.names, "workload", "hello,count,shop,odd", "names with commas between")
	faults := flags.String("faults", "all", "`kinds` with commas between, each kind or kind:weight")
	guarantee := flags.String("guarantee", "exactly-once", "of the workers; at-least-once must show doubles, and proves that this test can fail")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "same seed, same faults at the same times")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	flags.BoolVar(&o.flush, "flush", false, "empty Redis even if it holds something at the start")
	flags.BoolVar(&o.keep, "keep", false, "keep topics, tables and logs; kept anyway if the test fails")
	flags.DurationVar(&o.patience, "patience", 90*time.Second, "how long nothing may change in Redis before it is taken for final")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.brokers = strings.Split(*brokers, ",")
	o.defaults()
	var err, failed error
	if o.program, err = chooseWorkloads(o.names); err != nil {
		failed = errors.Join(failed, err)
	}
	if o.kinds, err = chooseKinds(*faults); err != nil {
		failed = errors.Join(failed, err)
	}
	switch *guarantee {
	case "exactly-once":
	case "at-least-once":
		o.atLeastOnce = true
	default:
		failed = errors.Join(failed, fmt.Errorf("-guarantee %q is not exactly-once or at-least-once", *guarantee))
	}
	if o.instances < 1 || o.records < 1 || o.keys < 1 || o.keys > 10_000 {
		failed = errors.Join(failed, errors.New("-instances and -records start at 1, -keys ends at 10,000"))
	}
	return o, failed
}

func (o *options) defaults() {
	records, length, kills := 1_000_000, 7*time.Minute, 60
	if o.short {
		records, length, kills = 120_000, 60*time.Second, 10
	}
	if o.odd = 1500; o.short {
		o.odd = 240
	}
	o.records, o.length, o.kills = cmp.Or(o.records, records), cmp.Or(o.length, length), cmp.Or(o.kills, kills)
}

func help(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprint(w, "crash kills everything at random and compares every key. Faults:\n")
	for _, k := range kinds {
		fmt.Fprintf(w, "  %-12s %4.1f  %s\n", k.name, k.weight, k.about)
	}
	fmt.Fprint(w, "\nWorkloads:\n")
	for _, l := range workloads {
		fmt.Fprintf(w, "  %-12s %s\n", l.name, l.about)
	}
	fmt.Fprintf(w, "  %-12s %s\n  %-12s %s\n", shopName, shopAbout, oddName, oddAbout)
	fmt.Fprint(w, "\nFlags:\n")
	flags.PrintDefaults()
}
