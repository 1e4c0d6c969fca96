//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rcrowley/go-metrics"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A job is what a worker process is told to do.
type job struct {
	Run         string   `json:"run"` // application and prefix of topics
	Workloads   string   `json:"workloads"`
	Brokers     []string `json:"brokers"`
	Redis       string   `json:"redis"`
	State       string   `json:"state"` // directory
	Listen      string   `json:"listen"`
	AtLeastOnce bool     `json:"at_least_once"`
}

// sessionTimeout is the shortest that brokers allow by default.
const sessionTimeout = 6 * time.Second

// work is the main function of a worker process. It ends on SIGTERM, by an error
// of its own, or when its parent is gone.
func work(text string) error {
	metrics.UseNilMetrics = true // nobody reads sarama's own
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		stop()
	}()
	chosen, err := chooseWorkloads(j.Workloads)
	if err != nil {
		return err
	}
	b := topology.NewBuilder(j.Run)
	for _, l := range chosen.workloads {
		l.declare(b, j.Run, j.Redis)
	}
	if chosen.shop {
		declareShop(b, j.Run, j.Redis)
	}
	if chosen.odd {
		for _, d := range oddities {
			d.declare(b, j.Run, j.Redis)
		}
	}
	topo, err := b.Build()
	if err != nil {
		return err
	}
	cfg := processor.Config{
		Brokers: j.Brokers, StateDir: j.State, Advertise: j.Listen,
		SessionTimeout: sessionTimeout,
		StartTimeout:   2 * time.Minute, // brokers are killed here
		Logger:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if j.AtLeastOnce {
		cfg.Guarantee = processor.AtLeastOnce
	}
	p, err := processor.New(topo, cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", j.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.Handler()}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer server.Close()
	err = p.Run(ctx)
	if status, e := json.Marshal(p.Status()); e == nil {
		fmt.Fprintf(os.Stderr, "ended: %s\n", status)
	}
	return err
}
