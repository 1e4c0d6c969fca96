package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Metric is a number, or several with labels, as Prometheus knows it.
type Metric struct {
	Name    string // without tidemark_
	Kind    string // "counter" or "gauge"
	Help    string
	Samples []Sample
}

// A Sample is one number of a Metric.
type Sample struct {
	Labels []string // names and values in turn
	Value  any
}

// metrics answers in Prometheus' text format.
func (h *handler) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	WriteMetrics(w, h.cluster.Here.Metrics())
}

// WriteMetrics writes metrics in Prometheus' text format.
func WriteMetrics(w io.Writer, metrics []Metric) {
	var text strings.Builder
	for _, m := range metrics {
		fmt.Fprintf(&text, "# HELP tidemark_%[1]s %[3]s\n# TYPE tidemark_%[1]s %[2]s\n", m.Name, m.Kind, m.Help)
		for _, s := range m.Samples {
			fmt.Fprintf(&text, "tidemark_%s%s %v\n", m.Name, labels(s.Labels), s.Value)
		}
	}
	_, _ = io.WriteString(w, text.String())
}

// labels writes names and values as {name="value",...}.
func labels(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	var all []string
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, fmt.Sprintf("%s=%q", pairs[i], pairs[i+1]))
	}
	return "{" + strings.Join(all, ",") + "}"
}
