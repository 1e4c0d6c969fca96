package processor

import (
	"context"
	"iter"
	"net"
	"net/http"
	"slices"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/topology"
)

// Handler serves the tables and the health of the instance over HTTP, to read
// only:
//
//	/                           a page for people
//	/v1/tables                  the tables
//	/v1/tables/{table}/{key}    a row's value; also /v1/tables/{table}?key=
//	/v1/tables/{table}/{key}    of a windowed table, if no row has that key, window and
//	                            all: the windows of the key as rows: since, until (of
//	                            their starts), limit
//	/v1/tables/{table}          rows by key, one JSON object a line: prefix, from, to, limit
//	/v1/tables/{table}?watch=1  rows and then every change, as it is committed
//	/v1/status                  what the instance is doing
//	/v1/topology                the picture
//	/livez, /readyz, /metrics   for machines
//
// An answer of rows ends at its limit or after 8 MiB of them; the header
// Tidemark-Next is then the key, percent-encoded, from which to go on. A client that
// takes nothing for a minute gets no more.
//
// Rows of other instances are asked for at the addresses that they advertise;
// with local=1 they are not. An error is JSON too, with a code beside its text.
// A byte of a key or value that is not UTF-8 is a lone surrogate in JSON, as
// codec.Quote writes it.
//
// A request whose Host is a name that is not localhost, Config.Advertise or one
// of Config.Hosts is refused: a page elsewhere could have given that name to this
// address, to read the tables in somebody's browser.
func (p *Processor) Handler() http.Handler {
	hosts := slices.Clone(p.config.Hosts)
	if host, _, err := net.SplitHostPort(p.config.Advertise); err == nil {
		hosts = append(hosts, host)
	}
	return web.NewHandler(p.everywhere(), hosts...)
}

// everywhere reads the rows of all instances.
func (p *Processor) everywhere() web.Cluster {
	return web.Cluster{Here: served{p}, Topology: p.topology}
}

// served is a Processor as its handler and its views see it.
type served struct{ processor *Processor }

func (s served) Status() any           { return s.processor.Status() }
func (s served) Health() web.Health    { return s.processor.Status().health() }
func (s served) Metrics() []web.Metric { return s.processor.Status().metrics() }

func (s served) Tables() []web.Table {
	return s.processor.Status().tables(s.processor.topology)
}

func (s served) Row(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	return s.processor.row(ctx, table, key)
}

func (s served) Rows(ctx context.Context, table string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return s.processor.rows(ctx, table, from, to)
}

func (s served) Changes(ctx context.Context, table string) iter.Seq2[topology.Raw, error] {
	return s.processor.changes(ctx, table)
}

func (s served) Owners(ctx context.Context, table string) ([]string, error) {
	return s.processor.owners(ctx, table)
}

func (s served) Strays(ctx context.Context, table string) (bool, error) {
	return s.processor.strays(ctx, table)
}

func (s served) Anywhere(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	return s.processor.anywhere(ctx, table, key)
}

// health sums a status up.
func (s Status) health() web.Health {
	h := web.Health{
		State: s.State.String(), Ready: s.State == Running, Ended: s.State == Stopped || s.State == Failed,
		Err: s.Err, Waiting: s.Waiting,
	}
	for _, t := range s.Tasks {
		h.Restore += t.Restore
	}
	for _, g := range s.Globals {
		h.Restore += g.Restore
	}
	return h
}

// tables says what of each table of a topology is here.
func (s Status) tables(topo *topology.Topology) []web.Table {
	changelogs := map[string]string{}
	for _, g := range topo.Groups() {
		for _, kept := range g.Stores {
			changelogs[kept.Name] = kept.Changelog
		}
	}
	list := []web.Table{}
	for _, name := range topo.Stores() {
		t := web.Table{Name: name, Topic: changelogs[name], State: s.State.String(), Partitions: []int32{}}
		for _, task := range s.Tasks {
			if task.Table == name {
				t.Partitions = append(t.Partitions, task.Partition)
				t.Restore += task.Restore
			}
		}
		for _, g := range s.Globals {
			if g.Table == name {
				t.Topic, t.State, t.Restore = g.Topic, g.State.String(), g.Restore
				for p := range g.Partitions {
					t.Partitions = append(t.Partitions, p)
				}
			}
		}
		slices.Sort(t.Partitions)
		list = append(list, t)
	}
	return list
}
