package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitError     = 1
	exitUsage     = 2
	exitNoKey     = 3
	exitDiffers   = 4
	exitNotReady  = 5
	exitSignalled = 128 // plus the signal
)

const exitCodes = `Exit codes: 0 done, 1 error, 2 wrong usage, 3 no such key, 4 difference found, 5 not ready.`

// A failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is an error of who typed the command.
func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// settingsError says everything that is wrong with what was given.
func settingsError(wrong []error) error {
	if len(wrong) == 0 {
		return nil
	}
	return &failure{exitUsage, errors.Join(wrong...)}
}

// report writes an error, if there is one to tell of, and returns the exit
// code. A signal makes a command's context.Canceled its own fault.
func report(w io.Writer, name string, err error, signalled os.Signal) int {
	var f *failure
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return 0 // whoever read the output has seen enough
	case signalled != nil && errors.Is(err, context.Canceled):
		return exitSignal(signalled)
	case !errors.As(err, &f):
		f = &failure{exitError, err}
	}
	lines := strings.Split(f.Error(), "\n")
	for i := range lines {
		lines[i] = shortened(lines[i])
	}
	text := strings.Join(lines, "\n")
	if f.code == exitUsage && len(lines) > 1 {
		text = fmt.Sprintf("%d settings are wrong:\n  %s", len(lines), strings.Join(lines, "\n  "))
	}
	fmt.Fprintf(w, "%s: %s\n", name, plain(text))
	return f.code
}

// shortened leaves out the middle of a line that shows a large key or value. What is
// wrong with it mostly stands at the end.
func shortened(line string) string {
	const most, end = 1000, 400
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most-end], "") + " … " + strings.ToValidUTF8(line[len(line)-end:], "")
}

func exitSignal(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return exitSignalled + int(n)
	}
	return exitError
}
