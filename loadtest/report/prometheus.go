package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// WritePrometheus writes the document in Prometheus' text format 0.0.4, for the
// node exporter's textfile collector or a push gateway. Units are base units.
// Names of scenarios and targets become labels, so two of one name are an error:
// whoever collects the file would refuse all of it.
func (d *Document) WritePrometheus(w io.Writer) error {
	e := &exposition{seen: map[string]bool{}}
	for _, f := range d.families() {
		e.family(f)
	}
	if e.twice != "" {
		return fmt.Errorf("write the metrics: there are two of %s; give them different names", e.twice)
	}
	if _, err := io.WriteString(w, e.b.String()); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	return nil
}

// A family is the samples of one name.
type family struct {
	name, kind, help string
	samples          []sample
}

// A sample is a value under labels; suffix is that of a summary's parts.
type sample struct {
	suffix string
	labels []string // name, value, name, value …
	value  float64
}

func (f *family) add(v float64, labels ...string) {
	f.samples = append(f.samples, sample{labels: labels, value: v})
}

// exposition is the text that is being written.
type exposition struct {
	b     strings.Builder
	seen  map[string]bool
	twice string // a series that is there already
}

func (e *exposition) family(f *family) {
	if len(f.samples) == 0 {
		return
	}
	name := "outrider_load_" + f.name
	fmt.Fprintf(&e.b, "# HELP %s %s\n# TYPE %s %s\n", name, f.help, name, f.kind)
	for _, s := range f.samples {
		series := name + s.suffix + braces(s.labels)
		if e.seen[series] && e.twice == "" {
			e.twice = series
		}
		e.seen[series] = true
		e.b.WriteString(series + " " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
	}
}

// braces writes labels; values are escaped as the format wants it.
func braces(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var b strings.Builder
	for i := 0; i+1 < len(labels); i += 2 {
		value := strings.ToValidUTF8(labels[i+1], "\uFFFD")
		fmt.Fprintf(&b, ",%s=\"%s\"", labels[i], escape.Replace(value))
	}
	return "{" + b.String()[1:] + "}"
}

// families are all metrics of the document.
func (d *Document) families() []*family {
	run := &family{name: "run_info", kind: "gauge", help: "Always 1; its labels say what measured, and where."}
	run.add(1, "schema", d.Schema, "tool", d.Tool, "cpu_model", d.Machine.CPUModel, "kernel", d.Machine.Kernel)
	date := &family{name: "run_timestamp_seconds", kind: "gauge", help: "When the run began, in Unix time."}
	date.add(float64(d.Date.UnixMilli()) / 1e3)
	verdict := &family{name: "run_verdict", kind: "gauge", help: "1 for what all budgets together come to, 0 for the others; none is that there was no budget."}
	addVerdict(verdict, d.Verdict)
	all := []*family{run, date, verdict}
	return slices.Concat(all, d.targetFamilies(), d.latencyFamilies(), d.costFamilies(), d.findingFamilies())
}

// addVerdict adds one sample for each of the verdicts there are.
func addVerdict(f *family, v budget.Verdict, labels ...string) {
	if v == "" {
		v = "none"
	}
	for _, of := range []budget.Verdict{budget.Holds, budget.Exceeded, budget.Undecided, "none"} {
		is := 0.0
		if v == of {
			is = 1
		}
		f.add(is, append(slices.Clone(labels), "verdict", string(of))...)
	}
}

// targetFamilies count what each target did.
func (d *Document) targetFamilies() []*family {
	requests := &family{name: "requests", kind: "gauge", help: "Requests that succeeded in the measured time."}
	failures := &family{name: "failures", kind: "gauge", help: "Requests that failed in the measured time, by kind."}
	unsent := &family{name: "unsent_requests", kind: "gauge", help: "Requests that were due and could not be sent."}
	rate := &family{name: "requests_per_second", kind: "gauge", help: "Requests that succeeded, for each second of measured time."}
	bytes := &family{name: "response_bytes", kind: "gauge", help: "Payload of the answers."}
	doubts := &family{name: "doubts", kind: "gauge", help: "How much speaks against believing the figures of a scenario."}
	for _, s := range d.Scenarios {
		doubts.add(float64(len(s.Doubts)), "scenario", s.Name)
		for _, t := range s.Targets {
			of := []string{"scenario", s.Name, "target", t.Name}
			requests.add(float64(t.Requests), of...)
			unsent.add(float64(t.Unsent), of...)
			rate.add(t.Rate, of...)
			bytes.add(float64(t.Bytes), of...)
			for _, kind := range slices.Sorted(maps.Keys(t.Failures)) {
				failures.add(float64(t.Failures[kind]), slices.Concat(of, []string{"kind", kind})...)
			}
		}
	}
	return []*family{requests, failures, unsent, rate, bytes, doubts}
}

// latencyFamilies are summaries, with the longest as quantile 1.
func (d *Document) latencyFamilies() []*family {
	latency := &family{name: "latency_seconds", kind: "summary", help: "Time from when a request was due to the end of its answer."}
	service := &family{name: "service_seconds", kind: "summary", help: "Time from when a request was sent to the end of its answer."}
	late := &family{name: "generator_late_seconds", kind: "summary", help: "How late the generator itself was, of those it had not queued."}
	for _, s := range d.Scenarios {
		for _, t := range s.Targets {
			of := []string{"scenario", s.Name, "target", t.Name}
			latency.summary(t.Latency, t.Requests, of)
			service.summary(t.Service, t.Requests, of)
			// Of a closed loop nothing is due, so nothing can be late.
			if n := t.Due - t.Unsent - t.Queued; n > 0 && s.Load.Arrivals != "closed" {
				late.summary(t.Late, n, of)
			}
		}
	}
	return []*family{latency, service, late}
}

// inSeconds takes microseconds, and keeps the nanoseconds that were measured but
// not the digits that a division adds.
func inSeconds(us float64) float64 { return math.Round(us*1e3) / 1e9 }

func (f *family) summary(l Latency, n int64, of []string) {
	for _, q := range []struct {
		quantile string
		us       float64
	}{{"0.5", l.P50}, {"0.75", l.P75}, {"0.9", l.P90}, {"0.99", l.P99}, {"0.999", l.P999}, {"1", l.Max}} {
		f.add(inSeconds(q.us), slices.Concat(of, []string{"quantile", q.quantile})...)
	}
	f.samples = append(f.samples,
		sample{suffix: "_sum", labels: of, value: inSeconds(l.Mean * float64(n))},
		sample{suffix: "_count", labels: of, value: float64(n)})
}

// costFamilies are of what was watched.
func (d *Document) costFamilies() []*family {
	cpu := &family{name: "cpu_seconds_per_request", kind: "gauge", help: "Processor time of what was watched, for each request."}
	rss := &family{name: "resident_memory_bytes", kind: "gauge", help: "Resident memory of what was watched, at its highest."}
	for _, s := range d.Scenarios {
		for _, t := range s.Targets {
			for _, w := range t.Watched {
				of := []string{"scenario", s.Name, "target", t.Name, "watched", w.Name}
				cpu.add(inSeconds(w.CPU), of...)
				rss.add(float64(w.RSS), of...)
			}
		}
	}
	return []*family{cpu, rss}
}
