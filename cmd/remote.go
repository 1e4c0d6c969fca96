package cmd

import (
	"errors"
	"fmt"
	"net/url"
	"syscall"

	"github.com/tidemark-dev/tidemark/internal/web"
)

// remote returns a client of the instance at --addr.
func (s *session) remote() (web.Client, error) {
	if s.settings.address == "" {
		return web.Client{}, usage("--addr: which instance is to be asked?")
	}
	return web.NewClient(reachable(s.settings.address)), nil
}

// refused is an error of a client with the exit code that its kind has.
func (s *session) refused(err error) error {
	if p, ok := errors.AsType[*web.Problem](err); ok {
		switch p.Code {
		case web.CodeNoSuchKey:
			return &failure{exitNoKey, err}
		case web.CodeRestoring, web.CodeNotReady:
			return &failure{exitNotReady, err}
		case web.CodeBadRequest, web.CodeNoSuchTable:
			return &failure{exitUsage, err}
		}
		return err
	}
	if e, ok := errors.AsType[*web.UnreachableError](err); ok && errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s: does \"%s run\" run, with this --addr?", e.Address, programName(s.name))
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return usage("--addr: %w", err)
	}
	return err
}
