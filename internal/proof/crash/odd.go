//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// Odd records are of every size, and of times that clocks have when they are wrong;
// some are no JSON, some have no key, some no value. They come to two journals: of
// one, what is refused goes to the dead letters, of the other it is skipped. Each
// has a key of its own, so that it can be told what became of it.
const (
	oddName  = "odd"
	oddAbout = "records of odd sizes, times and contents, in two journals, whose policies are dead-letter and skip → tables → Redis"
)

// An oddity is a journal of odd records and what becomes of those refused.
type oddity struct {
	name   string
	policy topology.Policy
}

var oddities = []oddity{{"letters", topology.DeadLetter}, {"skips", topology.Skip}}

func (d oddity) journal(run string) string   { return run + "-odd-" + d.name + "-journal" }
func (d oddity) store() string               { return "odd-" + d.name }
func (d oddity) changelog(run string) string { return run + "-" + d.store() + "-table" }

func (d oddity) declare(b *topology.Builder, run, redis string) {
	from := topology.Topic[string, oddValue]{
		Name: d.journal(run), Key: codec.String{}, Value: codec.JSON[oddValue]{},
		Policies: topology.Policies{Decode: d.policy, Process: d.policy, Write: d.policy},
	}
	table := topology.Materialize(b, from, topology.Store[string, oddValue]{Name: d.store()})
	topology.Sync(table, &redissink.Sink{Addr: redis})
}

type oddValue struct {
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

// bounds are sizes at which something on a record's way changes: fetches, batches,
// requests, what a topic takes by default, a step of a sink.
var bounds = []int{0, 1, 2, 100, 4 << 10, 64 << 10, 256 << 10, 400 << 10, 512 << 10, 800 << 10, 1_000_000, 1 << 20, 1_048_588}

// times are in milliseconds: none, before 1970, its beginning, when nanoseconds since
// then pass the int64, when this was written in microseconds, the last of all.
var times = []int64{-1, 0, 1, 9_223_372_036_854, 9_223_372_036_855, 9_999_999_999_999, 1_764_277_200_000_000, math.MaxInt64}

// odd makes the nth record of a journal, and the one that follows it if it is to be
// deleted.
func odd(topic string, n int, random *rand.Rand) (records []*kgo.Record) {
	r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "odd-%06d", n), Timestamp: time.Now()}
	size := random.IntN(300)
	if random.IntN(4) == 0 {
		size = max(0, bounds[random.IntN(len(bounds))]+random.IntN(3)*100-100+random.IntN(3)-1)
	}
	if random.IntN(50) == 0 {
		size = 3 << 20 // fits when it is compressed
	}
	r.Value = padded(n, size, random.IntN(2) == 0)
	switch random.IntN(12) {
	case 0, 1:
		r.Timestamp = time.UnixMilli(times[random.IntN(len(times))])
		r.Headers = []kgo.RecordHeader{{Key: "odd", Value: []byte("time")}}
	case 2:
		r.Timestamp = time.Now().Add(time.Duration(random.IntN(100)) * 24 * time.Hour)
		r.Headers = []kgo.RecordHeader{{Key: "odd", Value: []byte("time")}}
	case 3:
		r.Value = append(r.Value, '}')
	case 4:
		r.Value = bytes.Repeat([]byte{0xff}, size)
	case 5:
		r.Key = nil
	case 6:
		r.Headers = []kgo.RecordHeader{{Key: "trace", Value: bytes.Repeat([]byte{'h'}, size/2)}}
	case 7:
		return []*kgo.Record{r, {Topic: topic, Key: r.Key, Timestamp: time.Now()}}
	}
	return []*kgo.Record{r}
}

// padded is JSON of about a size: random digits, or something that can be compressed.
func padded(n, size int, dense bool) []byte {
	value := fmt.Appendf(nil, `{"n":%d,"pad":"`, n)
	for len(value) < size-2 {
		if dense {
			value = strconv.AppendUint(value, rand.Uint64(), 36)
		} else {
			value = append(value, bytes.Repeat([]byte{'x'}, size-2-len(value))...)
		}
	}
	return append(value, `"}`...)
}

// An oddProducer sends odd records, evenly spread over the run.
type oddProducer struct {
	o      options
	run    string
	client *kgo.Client
	sent   atomic.Int64
	wrong  atomic.Int64 // what the client or the broker did not take
}

func newOddProducer(o options, run string) (*oddProducer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.brokers...), kgo.ProducerBatchMaxBytes(8<<20), kgo.MaxBufferedBytes(64<<20),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.AllowAutoTopicCreation())
	return &oddProducer{o: o, run: run, client: client}, err
}

// produce ends each journal with a record of every partition: when their rows are
// there, so is what came before.
func (p *oddProducer) produce(ctx context.Context) {
	defer p.client.Close()
	random := rand.New(rand.NewPCG(p.o.seed, 3))
	gap := p.o.length / time.Duration(p.o.odd)
	for n := 0; n < p.o.odd && ctx.Err() == nil; n++ {
		for _, r := range odd(oddities[n%len(oddities)].journal(p.run), n, random) {
			// A batch begins with a time, and the others are told from there: sarama
			// cannot read them if that is negative, as this client writes what is
			// beyond 2262. So it has a batch of its own.
			alone := len(r.Headers) > 0 && r.Headers[0].Key == "odd"
			if alone {
				_ = p.client.Flush(ctx)
			}
			p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					p.wrong.Add(1)
				} else {
					p.sent.Add(1)
				}
			})
			if alone {
				_ = p.client.Flush(ctx)
			}
		}
		sleep(ctx, gap)
	}
	for n, ends := 0, map[string]bool{}; len(ends) < partitions*len(oddities) && ctx.Err() == nil; n++ {
		for _, d := range oddities {
			key := fmt.Appendf(nil, "end-%d", n)
			at := fmt.Sprint(d.name, topology.Partition(key, partitions))
			if ends[at] {
				continue
			}
			r := &kgo.Record{Topic: d.journal(p.run), Key: key, Value: []byte(`{"end":true}`), Timestamp: time.Now()}
			if p.client.ProduceSync(ctx, r).FirstErr() == nil {
				ends[at] = true
			}
		}
	}
}

// A fate is a record of an odd journal and what may become of it.
type fate struct {
	position topology.Position
	key      string
	row      uint64 // of its value
	gone     bool   // a tombstone follows
	fine     bool   // it must not be refused
	bad      bool   // it must be
}

var seed = maphash.MakeSeed()

// fates reads a journal. What has no key is dropped.
func (d oddity) fates(ctx context.Context, c *referee.Cluster, run string) (fates []fate, records int, err error) {
	byKey := map[string]int{}
	err = c.Read(ctx, d.journal(run), func(r topology.Raw) error {
		records++
		switch i, known := byKey[string(r.Key)]; {
		case r.Key == nil:
		case r.Value == nil && known:
			fates[i].gone = true
		case r.Value == nil:
		default:
			plain := len(r.Value) < 100_000 && len(r.Headers) == 0
			form := bytes.HasPrefix(r.Value, []byte(`{`)) && bytes.Count(r.Value, []byte(`}`)) == 1
			byKey[string(r.Key)] = len(fates)
			fates = append(fates, fate{position: r.Position, key: string(r.Key), row: maphash.Bytes(seed, r.Value), fine: plain && form, bad: !form})
		}
		return nil
	})
	return fates, records, err
}

// judgeOdd accounts for every odd record, in the table and in Redis: its row is
// there or it was refused as its journal's policy says, and never both.
func judgeOdd(ctx context.Context, c *referee.Cluster, t *referee.Target, run string) (verdicts []verdict, refused int, err error) {
	letters, doubled, err := deadLetters(ctx, c, run)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range oddities {
		fates, _, err := d.fates(ctx, c, run)
		if err != nil {
			return nil, 0, err
		}
		table := map[string]uint64{}
		err = c.Read(ctx, d.changelog(run), func(r topology.Raw) error {
			if r.Value == nil {
				delete(table, string(r.Key))
			} else {
				table[string(r.Key)] = maphash.Bytes(seed, r.Value)
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
		rows, err := d.inRedis(ctx, t)
		if err != nil {
			return nil, 0, err
		}
		v, n := d.compare("table", fates, table, letters)
		v.Doubled += int64(doubled[d.journal(run)])
		inRedis, _ := d.compare("redis", fates, rows, letters)
		verdicts, refused = append(verdicts, v, inRedis), refused+n
	}
	stray := verdict{Place: "dead letters"}
	for at := range letters {
		if at.Topic != oddities[0].journal(run) {
			stray.Wrong++
			stray.example("%s is no odd record", at)
		}
	}
	return append(verdicts, stray), refused, nil
}

// compare tells what became of each record.
func (d oddity) compare(place string, fates []fate, rows map[string]uint64, letters map[topology.Position]bool) (v verdict, refused int) {
	v.Place = d.store() + " " + place
	known := map[string]bool{}
	for _, f := range fates {
		row, there := rows[f.key]
		known[f.key] = true
		letter := letters[f.position]
		if letter || !there && !f.gone {
			refused++
		}
		switch {
		case there && (row != f.row || f.gone || f.bad):
			v.Wrong++
			v.example("%s: the row of %s is not what is due", f.position, f.key)
		case there && letter:
			v.Doubled++
			v.example("%s: %s has a row and is a dead letter", f.position, f.key)
		case there || f.gone || letter && !f.fine:
		case letter:
			v.Wrong++
			v.example("%s: %s was refused without a reason", f.position, f.key)
		case d.policy == topology.DeadLetter || f.fine:
			v.Lost++
			v.example("%s: %s is unaccounted for", f.position, f.key)
		}
	}
	for key := range rows {
		if !known[key] {
			v.Wrong++
			v.example("the row of %s is of no record", key)
		}
	}
	return v, refused
}

// deadLetters are where the records lay that were moved, and how many of each
// journal were moved more than once.
func deadLetters(ctx context.Context, c *referee.Cluster, run string) (letters map[topology.Position]bool, doubled map[string]int, err error) {
	letters, doubled = map[topology.Position]bool{}, map[string]int{}
	topic := run + "-dead-letters"
	if there, err := c.Exists(topic); err != nil || !there {
		return letters, doubled, err
	}
	err = c.Read(ctx, topic, func(r topology.Raw) error {
		var at topology.Position
		for _, h := range r.Headers {
			switch h.Key {
			case "tidemark-topic":
				at.Topic = string(h.Value)
			case "tidemark-partition":
				n, err := strconv.ParseInt(string(h.Value), 10, 32)
				if at.Partition = int32(n); err != nil {
					return err
				}
			case "tidemark-offset":
				if at.Offset, err = strconv.ParseInt(string(h.Value), 10, 64); err != nil {
					return err
				}
			}
		}
		if letters[at] {
			doubled[at.Topic]++
		}
		letters[at] = true
		return nil
	})
	return letters, doubled, err
}

func (d oddity) inRedis(ctx context.Context, t *referee.Target) (map[string]uint64, error) {
	prefix := d.store() + ":"
	keys, err := t.Keys(ctx, prefix)
	if err != nil {
		return nil, err
	}
	rows := map[string]uint64{}
	for from := 0; from < len(keys); from += 50 { // they may be large
		part := keys[from:min(from+50, len(keys))]
		err := t.Values(ctx, part, func(i int, value []byte) {
			if value != nil {
				rows[part[i][len(prefix):]] = maphash.Bytes(seed, value)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// oddBehind is how many records that must have a row in Redis have none.
func oddBehind(ctx context.Context, c *referee.Cluster, t *referee.Target, run string, fates map[string][]fate) (n int, err error) {
	for _, d := range oddities {
		rows, err := d.inRedis(ctx, t)
		if err != nil {
			return 0, err
		}
		for _, f := range fates[d.name] {
			if f.fine && !f.gone && rows[f.key] != f.row {
				n++
			}
			if _, there := rows[f.key]; there && f.gone {
				n++
			}
		}
	}
	return n, nil
}
