package cmd

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// page is the most rows that one request returns.
const page = 10_000

// A row is one of a table, as an instance tells it.
type row struct {
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value,omitempty"`
	Deleted   bool            `json:"deleted,omitempty"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
}

// A scan is what is asked of a table.
type scan struct {
	prefix, from string
	limit        int
}

func (s *session) tablesCommand() command {
	var what scan
	return command{
		name: "tables", args: "[get TABLE KEY | scan TABLE | watch TABLE]",
		help: "list the tables, get a row, print rows, or follow the changes",
		more: `Asks the instance at --addr, which asks others for what it does not have. Rows
are printed by key, as lines that send reads.`,
		flags: func(f *flag.FlagSet) {
			f.StringVar(&what.prefix, "prefix", "", "scan: only rows whose `key` begins so")
			f.StringVar(&what.from, "from", "", "scan: only rows from this `key` on")
			f.IntVar(&what.limit, "limit", 100, "scan: `number` of rows, 0 for all")
		},
		run: func(ctx context.Context, args []string) error {
			r, err := s.remote()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"list"}
			}
			for _, name := range []string{"prefix", "from", "limit"} {
				if s.parser.given[name] && args[0] != "scan" {
					return usage("--%s is for scan", name)
				}
			}
			sub, args := args[0], args[1:]
			switch sub {
			case "list":
				if err := arguments(args, 0, 0, "none"); err != nil {
					return err
				}
				return s.listTables(ctx, r)
			case "get":
				if err := arguments(args, 2, 2, "TABLE KEY"); err != nil {
					return err
				}
				return s.getRow(ctx, r, args[0], args[1])
			case "scan":
				if err := arguments(args, 1, 1, "TABLE"); err != nil {
					return err
				}
				if what.limit < 0 {
					return usage("--limit: %d is negative", what.limit)
				}
				return s.scanRows(ctx, r, args[0], what)
			case "watch":
				if err := arguments(args, 1, 1, "TABLE"); err != nil {
					return err
				}
				return s.watchRows(ctx, r, args[0])
			}
			return usage("there is no \"tables %s\"%s", sub, suggestion(sub, []string{"list", "get", "scan", "watch"}))
		},
	}
}

func (s *session) listTables(ctx context.Context, r remote) error {
	res, err := r.get(ctx, "/v1/tables", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if s.settings.output == "json" {
		_, err := io.Copy(s.stdout, res.Body)
		return err
	}
	var tables []struct {
		Table, Topic, State string
		Partitions          []int32
		Restore             int64
	}
	if err := json.NewDecoder(res.Body).Decode(&tables); err != nil {
		return fmt.Errorf("%s: %w", r.address, err)
	}
	t := tabwriter.NewWriter(s.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "TABLE\tSTATE\tPARTITIONS HERE\tTO RESTORE\tCHANGELOG")
	for _, x := range tables {
		slices.Sort(x.Partitions)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.Table, x.State, strings.Trim(fmt.Sprint(x.Partitions), "[]"), grouped(x.Restore), x.Topic)
	}
	return t.Flush()
}

func (s *session) getRow(ctx context.Context, r remote, table, key string) error {
	res, err := r.get(ctx, tablePath(table), url.Values{"key": {key}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	value, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", r.address, err)
	}
	if s.settings.output != "json" {
		_, err = s.stdout.Write(value)
		return err
	}
	found := row{Key: key, Value: value}
	partition, _ := strconv.ParseInt(res.Header.Get("Tidemark-Partition"), 10, 32)
	found.Partition = int32(partition)
	found.Offset, _ = strconv.ParseInt(res.Header.Get("Tidemark-Offset"), 10, 64)
	out := json.NewEncoder(s.stdout)
	out.SetEscapeHTML(false)
	return out.Encode(found)
}

func (s *session) scanRows(ctx context.Context, r remote, table string, what scan) error {
	more, err := r.scan(ctx, table, what, s.printRow)
	if err == nil && more != nil {
		fmt.Fprintf(s.stderr, "There are more, from --from %q on; --limit 0 prints all.\n", *more)
	}
	return err
}

// scan calls each for rows by key, and returns the key of the next one, if there is one.
func (r remote) scan(ctx context.Context, table string, what scan, each func(line json.RawMessage) error) (more *string, err error) {
	left := what.limit
	for {
		size := page
		if what.limit > 0 {
			size = min(size, left)
		}
		q := url.Values{"limit": {strconv.Itoa(size)}}
		if what.prefix != "" {
			q.Set("prefix", what.prefix)
		}
		if what.from != "" {
			q.Set("from", what.from)
		}
		res, err := r.get(ctx, tablePath(table), q)
		if err != nil {
			return nil, err
		}
		err = r.lines(res.Body, each)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.Header["Tidemark-Next"] == nil {
			return nil, nil
		}
		next, err := url.QueryUnescape(res.Header.Get("Tidemark-Next"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.address, err)
		}
		if left -= size; what.limit > 0 && left == 0 {
			return &next, nil
		}
		what.from = next
	}
}

func (s *session) watchRows(ctx context.Context, r remote, table string) error {
	res, err := r.get(ctx, tablePath(table), url.Values{"watch": {"1"}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	err = r.lines(res.Body, s.printRow)
	if ctx.Err() != nil {
		return nil // it has no other end
	}
	if err == nil {
		err = fmt.Errorf("%s has stopped", r.address)
	}
	return err
}

// printRow prints a row as a line that send reads, or as JSON.
func (s *session) printRow(line json.RawMessage) error {
	if s.settings.output == "json" {
		_, err := fmt.Fprintf(s.stdout, "%s\n", line)
		return err
	}
	var x row
	if err := json.Unmarshal(line, &x); err != nil {
		return err
	}
	if x.Deleted {
		x.Value = json.RawMessage("(deleted)")
	}
	_, err := fmt.Fprintf(s.stdout, "%s\t%s\n", x.Key, x.Value)
	return err
}

func tablePath(table string) string { return "/v1/tables/" + url.PathEscape(table) }
