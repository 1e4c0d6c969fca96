//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A head says when, where and with what was measured.
type head struct {
	Date    string            `json:"date"`
	CPU     string            `json:"cpu"`
	Cores   int               `json:"cores"`
	Records int               `json:"records"`
	Runs    int               `json:"runs"`
	With    map[string]string `json:"versions"`
}

func machine(ctx context.Context, b *bench, runs int) head {
	h := head{
		Date: time.Now().Format("2006-01-02"), CPU: cpuModel(), Cores: runtime.NumCPU(),
		Records: b.few.records, Runs: runs, With: map[string]string{"go": runtime.Version(), "kafka": b.kafka.Release()},
	}
	info, _ := b.redis.Client.Info(context.WithoutCancel(ctx), "server").Result()
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			h.With["redis"] = v
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			switch dep.Path {
			case "github.com/IBM/sarama", "github.com/lovoo/goka":
				h.With[dep.Path[strings.LastIndex(dep.Path, "/")+1:]] = dep.Version
			}
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		h.With["tidemark"] = strings.TrimSpace(string(out))
	}
	return h
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

func printJSON(w io.Writer, h head, found []finding) error {
	type line struct {
		Name    string  `json:"name"`
		About   string  `json:"about"`
		Runs    int     `json:"runs"`
		Figures figures `json:"figures"`
	}
	lines := []line{}
	for _, f := range found {
		lines = append(lines, line{f.name, f.about, f.runs, f.figures})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		head
		Results []line `json:"results"`
	}{h, lines})
}

func printTable(w io.Writer, h head, found []finding) error {
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(h.With)) {
		versions = append(versions, name+" "+h.With[name])
	}
	fmt.Fprintf(w, "%s, %s, %d cores: %s\n", h.Date, h.CPU, h.Cores, strings.Join(versions, ", "))
	fmt.Fprintf(w, "%d records of 90 bytes, medians of %d runs, CPU and memory of the process, its start included\n\n", h.Records, h.Runs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "measure\trecords/s\tCPU µs/record\tpeak MiB\tstate MiB\t× floor\t× goka\t\n")
	for _, f := range found {
		if _, ok := f.figures[cpu]; !ok {
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.0f\t%.1f\t%s\t%s\t\n", f.name, f.figures[rate], f.figures[cpu], f.figures[memory], f.figures[disk],
			ratio(f, f.floor, found), ratio(f, f.goka, found))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, f := range found {
		if _, ok := f.figures[cpu]; !ok {
			fmt.Fprintf(w, "%s (%s): %s\n", f.name, f.about, f.figures)
		}
	}
	return nil
}

// ratio returns a measure's CPU by that of a peer.
func ratio(f finding, peer string, found []finding) string {
	for _, p := range found {
		if p.name == peer {
			return fmt.Sprintf("%.2f", f.figures[cpu]/p.figures[cpu])
		}
	}
	return ""
}

// String returns the figures in order of their names.
func (f figures) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, fmt.Sprintf("%s %.4g", name, f[name]))
	}
	return strings.Join(parts, ", ")
}
