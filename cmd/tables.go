package cmd

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tidemark-dev/tidemark/internal/web"
)

func (s *session) tablesCommand() command {
	var what web.Scan
	const lines = `Rows are printed as lines that send reads: the key, a tab, and the value. In a key,
printed or typed, \n, \t, \r and \xNN are what does not print, and \\ is a backslash.`
	c := command{
		name: "tables", args: "[get TABLE KEY | scan TABLE | watch TABLE]",
		help: "list the tables, get a row, print rows, or follow the changes",
		more: `Asks the instance at --addr, which asks others for what it does not have.

  tables                   the tables, and what of them is at the instance
  tables get TABLE KEY     the value of a row; of a windowed table, whose KEY is
                           given without a window, all windows of the key as rows
  tables scan TABLE        rows by key
  tables watch TABLE       rows, and then every change; a deleted row is null

` + lines,
		parts: []part{
			{name: "list", help: "list the tables, and what of them is at the instance"},
			{
				name: "get", args: "TABLE KEY", arguments: 2, flags: []string{"since", "until", "limit"},
				help: "print the value of a row, or the windows of a key",
				more: `In a windowed table a KEY with its window, as scan prints it, is a row's; any other
is that of windows, which are printed as rows. Exits with 3 if there is none.

` + lines,
			},
			{name: "scan", args: "TABLE", arguments: 1, flags: []string{"prefix", "from", "to", "limit"}, help: "print rows by key", more: lines},
			{name: "watch", args: "TABLE", arguments: 1, help: "print rows, and then every change, until it is interrupted; a deleted row is null", more: lines},
		},
		flags: func(f *flag.FlagSet) {
			f.StringVar(&what.Prefix, "prefix", "", "scan: only rows whose `key` begins so")
			f.StringVar(&what.From, "from", "", "scan: only rows from this `key` on")
			f.StringVar(&what.To, "to", "", "scan: only rows before this `key`")
			f.StringVar(&what.Since, "since", "", "get: only windows that begin at this `time` or later; RFC 3339, or milliseconds since 1970")
			f.StringVar(&what.Until, "until", "", "get: only windows that begin before this `time`")
			f.IntVar(&what.Limit, "limit", 100, "scan, get of windows: `number` of rows, 0 for all")
		},
	}
	c.run = func(ctx context.Context, args []string) error {
		name, args, err := s.part(c, args)
		if err != nil {
			return err
		}
		return s.tables(ctx, name, args, what)
	}
	return c
}

// tables runs one of the command's parts.
func (s *session) tables(ctx context.Context, part string, args []string, what web.Scan) error {
	if what.Limit < 0 {
		return usage("--limit: %d is negative", what.Limit)
	}
	for _, key := range []*string{&what.Prefix, &what.From, &what.To} {
		var err error
		if *key, err = unescape(*key); err != nil {
			return &failure{exitUsage, err}
		}
	}
	r, err := s.remote()
	if err != nil {
		return err
	}
	return s.refused(s.askTables(ctx, r, part, args, what))
}

func (s *session) askTables(ctx context.Context, r web.Client, part string, args []string, what web.Scan) error {
	switch part {
	case "list":
		return s.listTables(ctx, r)
	case "get":
		key, err := unescape(args[1])
		if err != nil {
			return &failure{exitUsage, err}
		}
		what.Key = &key
		return s.getRow(ctx, r, args[0], what)
	case "scan":
		return s.scanRows(ctx, r, args[0], what)
	}
	return s.watchRows(ctx, r, args[0])
}

func (s *session) listTables(ctx context.Context, r web.Client) error {
	res, err := r.Get(ctx, "/v1/tables", nil)
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
		return fmt.Errorf("%s: %w", r.Address, err)
	}
	t := tabwriter.NewWriter(s.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "TABLE\tSTATE\tPARTITIONS HERE\tTO RESTORE\tCHANGELOG")
	for _, x := range tables {
		slices.Sort(x.Partitions)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.Table, x.State, strings.Trim(fmt.Sprint(x.Partitions), "[]"), grouped(x.Restore), x.Topic)
	}
	return t.Flush()
}

// getRow prints the value of a row, or the windows of a key: which of them it is,
// the instance knows.
func (s *session) getRow(ctx context.Context, r web.Client, table string, what web.Scan) error {
	q := url.Values{"key": {*what.Key}}
	if s.parser.typed["limit"] { // only windows have one
		q.Set("limit", "1")
	}
	what.Bound(q)
	res, err := r.Get(ctx, web.TablePath(table), q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "application/x-ndjson" {
		res.Body.Close()
		return s.scanRows(ctx, r, table, what)
	}
	value, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Address, err)
	}
	if s.settings.output != "json" {
		_, err = fmt.Fprint(s.stdout, printable(value))
		return err
	}
	found := web.Row{Key: web.Text(*what.Key), Value: value}
	found.Partition, found.Offset = web.Place(res)
	out := json.NewEncoder(s.stdout)
	out.SetEscapeHTML(false)
	return out.Encode(found)
}

func (s *session) scanRows(ctx context.Context, r web.Client, table string, what web.Scan) error {
	more, err := r.Scan(ctx, table, what, s.printRow)
	if err == nil && more != nil {
		hint := "--limit 0 prints all"
		if what.Key == nil {
			hint = fmt.Sprintf("--from '%s' goes on, %s", strings.ReplaceAll(escape(*more), "'", `'\''`), hint)
		}
		s.note("There are more: " + hint + ".")
	}
	return err
}

func (s *session) watchRows(ctx context.Context, r web.Client, table string) error {
	res, err := r.Get(ctx, web.TablePath(table), url.Values{"watch": {"1"}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	err = r.Lines(res.Body, s.printRow)
	if ctx.Err() != nil {
		return nil // it has no other end
	}
	if err == nil {
		err = fmt.Errorf("%s has stopped", r.Address)
	}
	return err
}

// printRow prints a row as a line that send reads, or as JSON.
func (s *session) printRow(line json.RawMessage) error {
	if s.settings.output == "json" {
		_, err := fmt.Fprintf(s.stdout, "%s\n", line)
		return err
	}
	var x web.Row
	if err := json.Unmarshal(line, &x); err != nil {
		return err
	}
	if x.Deleted {
		x.Value = json.RawMessage("null")
	}
	_, err := fmt.Fprintf(s.stdout, "%s\t%s\n", escape(string(x.Key)), printable(x.Value))
	return err
}
