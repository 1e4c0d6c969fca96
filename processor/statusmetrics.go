package processor

import (
	"strconv"

	"github.com/tidemark-dev/tidemark/topology"
)

// metrics are the numbers of a status.
func (s Status) metrics() []metric {
	all := []metric{s.stateMetric()}
	all = append(all, s.Counts.metrics()...)
	all = append(all, s.lagMetrics()...)
	return all
}

func (s Status) stateMetric() metric {
	state := metric{Name: "state", Kind: "gauge", Help: "1 for the state that the instance is in."}
	for i, name := range stateNames {
		in := 0
		if State(i) == s.State {
			in = 1
		}
		state.Samples = append(state.Samples, sample{Labels: []string{"state", name}, Value: in})
	}
	return state
}

func (c Counts) metrics() []metric {
	count := func(name, help string, value any) metric {
		return metric{Name: name, Kind: "counter", Help: help, Samples: []sample{{Value: value}}}
	}
	dropped := func(reason topology.DropReason, n int64) sample {
		return sample{Labels: []string{"reason", reason.String()}, Value: n}
	}
	return []metric{
		count("records_total", "Records processed and committed, those that were dropped or refused among them.", c.Records),
		count("rows_total", "Rows written to changelogs, also by transactions that were aborted.", c.Rows),
		count("published_total", "Records written to output and repartition topics and to the dead letters, also by transactions that were aborted.", c.Published),
		count("skipped_total", "Records refused and skipped.", c.Skipped),
		count("dead_letters_total", "Records refused and moved to the dead letters.", c.DeadLetters),
		count("commits_total", "Transactions.", c.Commits),
		count("commit_seconds_total", "Time that commits took.", c.CommitTime.Seconds()),
		count("sessions_total", "Times that the group was joined afresh.", c.Sessions),
		count("restored_total", "Changelog records read by restores.", c.Restored),
		count("sink_rows_total", "Rows written to sinks.", c.SinkRows),
		count("sink_steps_total", "Batches written to sinks.", c.SinkSteps),
		count("sink_rebuilds_total", "Times that a target had lost its place, and was filled again. The first filling does not count.", c.SinkRebuilds),
		{Name: "dropped_total", Kind: "counter", Help: "Records that a step left out, by reason.", Samples: []sample{
			dropped(topology.NoKey, c.DroppedNoKey), dropped(topology.NoValue, c.DroppedNoValue), dropped(topology.Late, c.DroppedLate),
		}},
	}
}

// lagMetrics say how far tasks, tables and sinks are behind.
func (s Status) lagMetrics() []metric {
	lag := metric{Name: "lag", Kind: "gauge", Help: "Offsets of the inputs still to process."}
	restore := metric{Name: "restore", Kind: "gauge", Help: "Changelog offsets still to read."}
	globals := metric{Name: "global_lag", Kind: "gauge", Help: "Records of a global table's topic still to read."}
	sinks := metric{Name: "sink_lag", Kind: "gauge", Help: "Changelog offsets still to write to a sink."}
	for i, t := range s.Tasks {
		partition := strconv.Itoa(int(t.Partition))
		if i == 0 || s.Tasks[i-1].Group != t.Group || s.Tasks[i-1].Partition != t.Partition { // else another table of the same task
			lag.Samples = append(lag.Samples, sample{Labels: []string{"group", t.Group, "partition", partition}, Value: t.Lag})
		}
		labels := []string{"group", t.Group, "table", t.Table, "partition", partition}
		restore.Samples = append(restore.Samples, sample{Labels: labels, Value: t.Restore})
		for _, k := range t.Sinks {
			sinks.Samples = append(sinks.Samples, sample{Labels: append(labels[:len(labels):len(labels)], "sink", k.Sink), Value: k.Lag})
		}
	}
	for _, g := range s.Globals {
		globals.Samples = append(globals.Samples, sample{Labels: []string{"table", g.Table}, Value: g.Lag})
	}
	if len(s.Globals) == 0 {
		return []metric{lag, restore, sinks}
	}
	return []metric{lag, restore, globals, sinks}
}
