package cmd

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// opening is how many records the demo sends at once, to begin with.
const opening = 10

// demoPartitions is how many each of its topics has.
const demoPartitions = 4

// A demo is one run of the command: its terms, then what they have started.
type demo struct {
	*session
	rate    int
	lasting time.Duration
	records int

	topology  *topology.Topology
	processor *processor.Processor
	client    sarama.Client
	remote    web.Client
	sent      atomic.Int64
}

func (s *session) demoCommand() command {
	d := demo{session: s}
	return command{
		name: "demo",
		help: "run on servers of its own, and prove that nothing is lost or doubled",
		more: `Starts the servers inside the process, creates the topics, sends ten records and
then a stream of them, and shows how they are processed. At the end it replays the
journals in memory and compares every row with the tables and the sinks. A table
whose rows depend on more than one topic, or on a topic that the program writes,
is taken as it is, and compared with its sinks. A signal ends the sending;
nothing is left behind.`,
		flags: func(f *flag.FlagSet) {
			f.IntVar(&d.rate, "rate", 1000, "`records` a second, 0 for as many as possible")
			f.DurationVar(&d.lasting, "for", 10*time.Second, "`time` to send; without a limit if --records is given and this is not")
			f.IntVar(&d.records, "records", 0, "`number` of records to send, 0 for no limit")
		},
		run: d.run,
	}
}

func (d *demo) run(ctx context.Context, args []string) (err error) {
	if err := arguments(args, 0, 0, "none"); err != nil {
		return err
	}
	switch {
	case d.program.Demo.Record == nil:
		return errors.New("the program has no Demo.Record")
	case d.rate < 0 || d.lasting < 0 || d.records < 0:
		return usage("--rate, --for and --records: a negative number makes no sense")
	}
	if d.records > 0 && !d.parser.given["for"] {
		d.lasting = 0
	}
	if !d.parser.given["log-level"] && d.settings.logFormat != "json" {
		d.settings.logLevel = slog.LevelWarn // the table is what people look at
	}

	// The servers outlive what uses them, also after a signal.
	servers, stopServers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServers()
	if err := d.startServers(servers); err != nil {
		return err
	}
	d.settings.config.StateDir, err = os.MkdirTemp("", "tidemark-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(d.settings.config.StateDir)
	listener, err := d.listen()
	if err != nil {
		return err
	}
	d.settings.config.Advertise = cmp.Or(d.settings.config.Advertise, listener.Addr().String())
	if d.topology, d.processor, err = d.session.processor(); err != nil {
		listener.Close()
		return err
	}
	view := serve(servers, d.processor, listener)
	defer view.stop()
	d.remote = web.NewClient(listener.Addr().String())
	if d.client, err = d.kafka(ctx); err != nil {
		return err
	}
	defer d.client.Close()
	if err := createTopics(d.client, outside(d.topology), demoPartitions); err != nil {
		return err
	}
	d.note(fmt.Sprintf("%v\nHave a look at %s\n", d.topology, view.url))

	running, stopRunning := context.WithCancel(servers)
	ended := make(chan error, 1)
	go func() { ended <- d.processor.Run(running) }()
	v, err := d.play(ctx, servers)
	stopRunning()
	if stopped := <-ended; stopped != nil {
		return fmt.Errorf("the processor: %w", stopped)
	}
	if err != nil {
		return err
	}
	return d.tell(v)
}

// startServers starts the demo's servers and sets the flags that find them.
func (d *demo) startServers(ctx context.Context) error {
	flags, err := d.program.Demo.Start(ctx)
	if err != nil {
		return fmt.Errorf("start the demo's servers: %w", err)
	}
	text := "Servers of the demo:"
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if err := d.settings.flags.Set(name, flags[name]); err != nil {
			return fmt.Errorf("the demo's servers set --%s to %q: %w", name, flags[name], err)
		}
		text += fmt.Sprintf(" --%s %s", name, flags[name])
	}
	d.note(text + "\n")
	return nil
}

// listen listens for the view, on any port if the usual one is taken.
func (d *demo) listen() (net.Listener, error) {
	l, err := listen(cmp.Or(d.settings.address, "localhost:0"))
	if err != nil && !d.parser.given["addr"] {
		l, err = listen("localhost:0")
	}
	return l, err
}

// play sends records, waits until they have arrived, and compares. A signal
// ends the sending only.
func (d *demo) play(ctx, servers context.Context) (verdict, error) {
	starting, cancel := context.WithTimeout(ctx, d.settings.config.StartTimeout)
	defer cancel()
	if err := d.processor.Wait(starting, processor.Running); err != nil {
		return verdict{}, fmt.Errorf("the processor does not run: %w", err)
	}
	stopProgress := d.progress()
	err := d.send(ctx)
	if err == nil {
		err = d.arrive(servers)
	}
	stopProgress()
	if err != nil {
		return verdict{}, err
	}
	return d.compare(servers)
}

// send sends the opening, and then records at the rate until a limit is
// reached or ctx is done. All are acknowledged when it returns without error.
func (d *demo) send(ctx context.Context) error {
	out, err := newSender(d.client, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	for i := 0; err == nil && !d.enough(ctx, i, start); i++ {
		var r topology.Raw
		if r, err = d.program.Demo.Record(i); err != nil {
			err = fmt.Errorf("Demo.Record(%d): %w", i, err)
			break
		}
		if err = out.send(context.WithoutCancel(ctx), r); err == nil {
			d.sent.Store(out.acked.Load())
			err = d.pace(ctx, i+1-opening, start)
		}
	}
	if closed := out.close(); closed != nil {
		err = closed
	}
	d.sent.Store(out.acked.Load())
	return err
}

// enough reports whether i records are enough. The opening is always sent.
func (d *demo) enough(ctx context.Context, i int, start time.Time) bool {
	switch {
	case ctx.Err() != nil:
		return true
	case d.records > 0 && i >= d.records:
		return true
	}
	return i >= opening && d.lasting > 0 && time.Since(start) >= d.lasting
}

// pace waits until it is time for the record behind n others.
func (d *demo) pace(ctx context.Context, n int, start time.Time) error {
	if d.rate == 0 || n <= 0 {
		return nil
	}
	due := start.Add(time.Duration(float64(n) / float64(d.rate) * float64(time.Second)))
	if early := time.Until(due); early > time.Millisecond {
		select {
		case <-time.After(early):
		case <-ctx.Done():
		}
	}
	return nil
}

// settle is how long nothing may move before the demo gives up.
const settle = 30 * time.Second

// arrive waits until everything that was sent is processed and in the sinks.
func (d *demo) arrive(ctx context.Context) error {
	records, moved := int64(0), time.Now()
	for quiet := 0; quiet < 3; {
		s := d.processor.Status()
		switch {
		case s.State == processor.Failed || s.State == processor.Stopped:
			return nil // Run tells why
		case s.Counts.Records+s.Counts.SinkRows != records:
			records, moved = s.Counts.Records+s.Counts.SinkRows, time.Now()
		case time.Since(moved) > settle:
			return nil // the comparison tells what is missing
		}
		if d.arrived(s, time.Since(moved)) {
			quiet++
		} else {
			quiet = 0
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// arrived reports whether all is done. Another instance may have taken part: then
// fewer records are counted here, and that nothing moves has to do.
func (d *demo) arrived(s processor.Status, unmoved time.Duration) bool {
	c := s.Counts
	counted := c.Records >= d.sent.Load()
	if s.State != processor.Running || !counted && unmoved < 2*time.Second {
		return false
	}
	for _, t := range s.Tasks {
		if t.Lag > 0 && (unmoved < 2*time.Second || d.lagCounts(t.Group)) || slices.ContainsFunc(t.Sinks, func(k processor.SinkStatus) bool { return k.Lag > 0 }) {
			return false
		}
	}
	return true
}

// lagCounts reports whether the lag of a group is one of records. Topics that
// groups write to each other end with marks of transactions, which nobody processes.
func (d *demo) lagCounts(group string) bool {
	return !slices.ContainsFunc(d.topology.Groups(), func(g *topology.Group) bool {
		return g.Name == group && slices.ContainsFunc(g.Inputs, func(topic string) bool { return !d.fromOutside(topic) })
	})
}

// outside returns the topics of a topology that it does not make itself: not
// changelogs, nor repartition topics.
func outside(topo *topology.Topology) []string {
	return slices.DeleteFunc(topo.Topics(), func(name string) bool {
		return slices.ContainsFunc(topo.Repartitions(), func(r topology.RepartitionTopic) bool { return r.Topic == name }) ||
			slices.ContainsFunc(topo.Groups(), func(g *topology.Group) bool {
				return slices.ContainsFunc(g.Stores, func(s topology.StateStore) bool { return s.Changelog == name })
			})
	})
}
