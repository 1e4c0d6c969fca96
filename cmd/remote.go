package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// A remote is a running instance, asked over HTTP.
type remote struct {
	address string
	name    string // of the program that should run there
}

// remote returns the instance at --addr.
func (s *session) remote() (remote, error) {
	if s.settings.address == "" {
		return remote{}, usage("--addr: which instance is to be asked?")
	}
	return remote{reachable(s.settings.address), programName(s.name)}, nil
}

var remoteClient = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 30 * time.Second}}

// get asks for a path and returns a good answer, whose body the caller closes.
// Others are failures with the exit code that their kind has.
func (r remote) get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	res, err := r.answer(ctx, path, q)
	if err != nil || res.StatusCode == http.StatusOK {
		return res, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.address, err)
	}
	return nil, r.failure(body, res.Status)
}

// answer asks for a path, whatever the answer is.
func (r remote) answer(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	to := "http://" + r.address + path
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, usage("--addr: %w", err)
	}
	res, err := remoteClient.Do(req)
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens at %s: does \"%s run\" run, with this --addr?", r.address, r.name)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if _, unconnected := errors.AsType[*net.OpError](err); !unconnected {
		return nil, fmt.Errorf("ask %s: %w: is it another program that listens there?", r.address, err)
	}
	return nil, fmt.Errorf("ask %s: %w", r.address, err)
}

// failure is the error that an answer, or the last line of one, tells of.
func (r remote) failure(body []byte, status string) error {
	var problem struct{ Error, Code string }
	if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		return fmt.Errorf("%s answers %q: is it another program that listens there?", r.address, status)
	}
	err := errors.New(problem.Error)
	switch problem.Code {
	case "no_such_key":
		return &failure{exitNoKey, err}
	case "restoring", "not_ready":
		return &failure{exitNotReady, err}
	case "bad_request", "no_such_table":
		return &failure{exitUsage, err}
	}
	return err
}

// lines calls each for every line of an answer. One that tells of an error ends it.
func (r remote) lines(body io.Reader, each func(line json.RawMessage) error) error {
	in := json.NewDecoder(body)
	for {
		var line json.RawMessage
		if err := in.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: the answer was cut off: %w", r.address, err)
		}
		if strings.HasPrefix(string(line), `{"error":`) {
			return r.failure(line, "")
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
