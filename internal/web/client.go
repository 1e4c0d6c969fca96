package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Client asks an instance over HTTP.
type Client struct {
	Address string
	hop     bool // another instance asks: answers are in bytes, and from there
	http    *http.Client
}

// forPrograms waits long: an instance asks others before it answers.
var forPrograms = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 30 * time.Second}}

// betweenInstances gives up on instances that do not answer, but not on answers
// that take their time.
var betweenInstances = &http.Client{Transport: &http.Transport{
	DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	ResponseHeaderTimeout: 10 * time.Second,
	MaxIdleConnsPerHost:   16,
	IdleConnTimeout:       30 * time.Second,
}}

// NewClient returns a client of the instance at an address.
func NewClient(address string) Client { return Client{Address: address, http: forPrograms} }

// An UnreachableError says that nothing answers at an address.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	if _, unconnected := errors.AsType[*net.OpError](e.Err); !unconnected {
		return fmt.Sprintf("ask %s: %v: is it another program that listens there?", e.Address, e.Err)
	}
	return fmt.Sprintf("ask %s: %v", e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// A StrangerError says that the program at an address is not an instance.
type StrangerError struct{ Address, Status string }

func (e *StrangerError) Error() string {
	return fmt.Sprintf("%s answers %q: is it another program that listens there?", e.Address, e.Status)
}

// TablePath is the path of a table.
func TablePath(table string) string { return "/v1/tables/" + url.PathEscape(table) }

// Get asks for a path and returns the answer, whose body the caller closes. An
// answer other than 200 OK is a *Problem, or a *StrangerError. An address that
// cannot be one is a *url.Error.
func (c Client) Get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	to := "http://" + c.Address + path
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, err
	}
	if c.hop {
		req.Header.Set(hopHeader, "1")
	}
	res, err := c.http.Do(req)
	switch {
	case err == nil && res.StatusCode == http.StatusOK:
		return res, nil
	case err == nil:
		defer res.Body.Close()
		return nil, c.problem(res)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address, which the error says
	}
	return nil, &UnreachableError{c.Address, err}
}

// problem reads what an answer says instead of the rows.
func (c Client) problem(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Address, err)
	}
	return c.parse(body, res.Status)
}

func (c Client) parse(body []byte, status string) error {
	var p Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return &StrangerError{c.Address, status}
	}
	return &p
}

// Lines calls each for every line of an answer. One that tells of a *Problem ends it.
func (c Client) Lines(body io.Reader, each func(line json.RawMessage) error) error {
	in := json.NewDecoder(body)
	for {
		var line json.RawMessage
		if err := in.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: the answer was cut off: %w", c.Address, err)
		}
		if strings.HasPrefix(string(line), `{"error":`) {
			return c.parse(line, "")
		}
		if err := each(line); err != nil {
			return err
		}
	}
}

// Page is the most rows that one request returns.
const Page = highestLimit

// A Scan is what is asked of a table: rows by key, or the windows of one key.
type Scan struct {
	Key              *string
	Prefix, From, To string
	Since, Until     string
	Limit            int // 0 for all rows
}

// query asks for the next rows.
func (s Scan) query(limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, text := range map[string]string{"prefix": s.Prefix, "from": s.From, "to": s.To} {
		if text != "" {
			q.Set(name, text)
		}
	}
	if s.Key != nil {
		q.Set("key", *s.Key)
	}
	s.Bound(q)
	return q
}

// Bound adds the bounds of windows to a query.
func (s Scan) Bound(q url.Values) {
	for name, text := range map[string]string{"since": s.Since, "until": s.Until} {
		if text != "" {
			q.Set(name, text)
		}
	}
}

// Scan calls each for rows by key, and returns the key of the next one, if there is one.
func (c Client) Scan(ctx context.Context, table string, s Scan, each func(line json.RawMessage) error) (more *string, err error) {
	for left := s.Limit; ; {
		size := Page
		if s.Limit > 0 {
			size = min(size, left)
		}
		res, err := c.Get(ctx, TablePath(table), s.query(size))
		if err != nil {
			return nil, err
		}
		err = c.Lines(res.Body, func(line json.RawMessage) error {
			left--
			return each(line)
		})
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.Header[nextHeader] == nil {
			return nil, nil
		}
		next, err := url.QueryUnescape(res.Header.Get(nextHeader))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Address, err)
		}
		if s.Limit > 0 && left <= 0 {
			return &next, nil
		}
		s.From = next
	}
}

// Place returns where an answer's row is: its partition, and the offset up to which
// the answer is current.
func Place(res *http.Response) (partition int32, offset int64) {
	p, _ := strconv.ParseInt(res.Header.Get(partitionHeader), 10, 32)
	offset, _ = strconv.ParseInt(res.Header.Get(offsetHeader), 10, 64)
	return int32(p), offset
}
