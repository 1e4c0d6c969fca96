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

	"github.com/tidemark-dev/tidemark/codec"
)

// page is the most rows that one request returns.
const page = 10_000

// A row is one of a table, as an instance tells it.
type row struct {
	Key       keyText         `json:"key"`
	Value     json.RawMessage `json:"value,omitempty"`
	Deleted   bool            `json:"deleted,omitempty"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
}

// A keyText is a key's text, which may hold any bytes.
type keyText string

func (k keyText) MarshalJSON() ([]byte, error) { return codec.Quote(string(k)), nil }

func (k *keyText) UnmarshalJSON(quoted []byte) error {
	text, err := codec.Unquote(quoted)
	*k = keyText(text)
	return err
}

// A scan is what is asked of a table: rows by key, or the windows of one key.
type scan struct {
	key              *string
	prefix, from, to string
	since, until     string
	limit            int
}

func (s *session) tablesCommand() command {
	var what scan
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
			f.StringVar(&what.prefix, "prefix", "", "scan: only rows whose `key` begins so")
			f.StringVar(&what.from, "from", "", "scan: only rows from this `key` on")
			f.StringVar(&what.to, "to", "", "scan: only rows before this `key`")
			f.StringVar(&what.since, "since", "", "get: only windows that begin at this `time` or later; RFC 3339, or milliseconds since 1970")
			f.StringVar(&what.until, "until", "", "get: only windows that begin before this `time`")
			f.IntVar(&what.limit, "limit", 100, "scan, get of windows: `number` of rows, 0 for all")
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
func (s *session) tables(ctx context.Context, part string, args []string, what scan) error {
	if what.limit < 0 {
		return usage("--limit: %d is negative", what.limit)
	}
	for _, key := range []*string{&what.prefix, &what.from, &what.to} {
		var err error
		if *key, err = unescape(*key); err != nil {
			return &failure{exitUsage, err}
		}
	}
	r, err := s.remote()
	if err != nil {
		return err
	}
	switch part {
	case "list":
		return s.listTables(ctx, r)
	case "get":
		key, err := unescape(args[1])
		if err != nil {
			return &failure{exitUsage, err}
		}
		what.key = &key
		return s.getRow(ctx, r, args[0], what)
	case "scan":
		return s.scanRows(ctx, r, args[0], what)
	}
	return s.watchRows(ctx, r, args[0])
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

// getRow prints the value of a row, or the windows of a key: which of them it is,
// the instance knows.
func (s *session) getRow(ctx context.Context, r remote, table string, what scan) error {
	q := url.Values{"key": {*what.key}}
	if s.parser.typed["limit"] { // only windows have one
		q.Set("limit", "1")
	}
	what.bound(q)
	res, err := r.get(ctx, tablePath(table), q)
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
		return fmt.Errorf("%s: %w", r.address, err)
	}
	if s.settings.output != "json" {
		_, err = fmt.Fprint(s.stdout, printable(value))
		return err
	}
	found := row{Key: keyText(*what.key), Value: value}
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
		hint := "--limit 0 prints all"
		if what.key == nil {
			hint = fmt.Sprintf("--from '%s' goes on, %s", strings.ReplaceAll(escape(*more), "'", `'\''`), hint)
		}
		s.note("There are more: " + hint + ".")
	}
	return err
}

// bound adds the bounds of windows to a query.
func (what scan) bound(q url.Values) {
	for name, text := range map[string]string{"since": what.since, "until": what.until} {
		if text != "" {
			q.Set(name, text)
		}
	}
}

// scan calls each for rows by key, and returns the key of the next one, if there is one.
func (r remote) scan(ctx context.Context, table string, what scan, each func(line json.RawMessage) error) (more *string, err error) {
	for left := what.limit; ; {
		size := page
		if what.limit > 0 {
			size = min(size, left)
		}
		q := url.Values{"limit": {strconv.Itoa(size)}}
		for name, text := range map[string]string{"prefix": what.prefix, "from": what.from, "to": what.to} {
			if text != "" {
				q.Set(name, text)
			}
		}
		if what.key != nil {
			q.Set("key", *what.key)
		}
		what.bound(q)
		res, err := r.get(ctx, tablePath(table), q)
		if err != nil {
			return nil, err
		}
		err = r.lines(res.Body, func(line json.RawMessage) error {
			left--
			return each(line)
		})
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
		if what.limit > 0 && left <= 0 {
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
		x.Value = json.RawMessage("null")
	}
	_, err := fmt.Fprintf(s.stdout, "%s\t%s\n", escape(string(x.Key)), printable(x.Value))
	return err
}

func tablePath(table string) string { return "/v1/tables/" + url.PathEscape(table) }
