// Package report says what was measured: as a table for people, as JSON for
// programs, as a page with plots that needs nothing but a browser, and as
// Prometheus text. Everything in it is a pure function of the [Document].
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/stats"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// Schema names the form of a Document. A field that is added keeps it; one that
// changes its meaning takes the next number.
const Schema = "outrider.dev/load/v1"

// A Document is everything one run found out.
type Document struct {
	Schema  string        `json:"schema"`
	Tool    string        `json:"tool"` // name and version
	Command []string      `json:"command"`
	Date    time.Time     `json:"date"`
	Machine watch.Machine `json:"machine"`
	// Scenarios are the loads, in the order they ran.
	Scenarios []Scenario `json:"scenarios"`
	// Verdict is that of all budgets; empty when there were none.
	Verdict budget.Verdict `json:"verdict,omitempty"`
}

// A Scenario is one load on one or more targets, which took turns.
type Scenario struct {
	Name string `json:"name"`
	Load Load   `json:"load"`
	// Targets are those that were measured; the first is the base of the
	// comparisons.
	Targets     []Target     `json:"targets"`
	Comparisons []Comparison `json:"comparisons,omitempty"`
	// Doubts are what a reader must know before believing the figures.
	Doubts []string `json:"doubts,omitempty"`
}

// Load is what was sent.
type Load struct {
	Protocol string `json:"protocol"`
	Request  string `json:"request"` // method and path
	// BodyBytes is the length of each request's body.
	BodyBytes int `json:"body_bytes"`
	// Arrivals are "closed", "even" or "poisson", Rate as it was asked for.
	Arrivals string `json:"arrivals"`
	Rate     string `json:"rate,omitempty"`
	// Callers make one request at a time; Streams of them share a connection.
	Callers int `json:"callers"`
	Streams int `json:"streams"`
	// Rounds are how often each target had its turn: WarmupSeconds unmeasured,
	// then BlockSeconds measured.
	Rounds        int     `json:"rounds"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	BlockSeconds  float64 `json:"block_seconds"`
	Seed          uint64  `json:"seed"`
}

// A Target is what one target showed, over all rounds.
type Target struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Requests are those that succeeded, Failures the others by kind.
	Requests     int64            `json:"requests"`
	Failures     map[string]int64 `json:"failures,omitempty"`
	FirstFailure string           `json:"first_failure,omitempty"`
	// Due should have been sent; Unsent were not; Queued had to wait for a
	// caller.
	Due    int64 `json:"due"`
	Unsent int64 `json:"unsent"`
	Queued int64 `json:"queued"`
	// Rate is successes per second of measured time.
	Rate  float64 `json:"requests_per_second"`
	Bytes int64   `json:"bytes"`
	// Latency is from when a request was due, Service from when it was sent,
	// Late how late the generator itself was.
	Latency Latency `json:"latency"`
	Service Latency `json:"service"`
	Late    Latency `json:"generator_late"`
	// Series is second by second of measured time, all rounds in a row.
	Series []Second `json:"series"`
	// Rounds holds percentiles round by round, for those who want to judge
	// otherwise.
	Rounds []Round `json:"rounds"`
	// Watched is what it cost.
	Watched []Watched `json:"watched,omitempty"`
}

// Latency holds percentiles in microseconds.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P75  float64 `json:"p75_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p99_9_us"`
	Max  float64 `json:"max_us"`
	// Histogram is all of it, in HdrHistogram's V2 text form, in nanoseconds.
	Histogram string `json:"histogram,omitempty"`
}

// A Second is one second of measured time.
type Second struct {
	Requests int64   `json:"requests"`
	Failed   int64   `json:"failed"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

// A Round is one turn of a target.
type Round struct {
	Requests int64              `json:"requests"`
	Micros   map[string]float64 `json:"us"` // by percentile: "p99"
	// CPU is microseconds per request of everything watched; 0 where nothing was.
	CPU float64 `json:"cpu_us_per_request,omitempty"`
}

// Watched is the cost of one group of processes while a target had its turns.
type Watched struct {
	Name string `json:"name"`
	// CPU is microseconds per request; User and System are its parts, read in
	// coarser steps.
	CPU    float64 `json:"cpu_us_per_request"`
	User   float64 `json:"user_us_per_request"`
	System float64 `json:"system_us_per_request"`
	// RSS is the highest that was seen at the end of a turn, in bytes.
	RSS int64 `json:"rss_bytes"`
}

// A Comparison is what the test takes more than the base.
type Comparison struct {
	Base     string    `json:"base"`
	Test     string    `json:"test"`
	Findings []Finding `json:"findings"`
	// Verdict is that of the findings that have a budget; empty without one.
	Verdict budget.Verdict `json:"verdict,omitempty"`
}

// A Finding is one figure of a comparison, and what became of its budget.
type Finding struct {
	// What is "p99", "errors", "cpu" or "rss".
	What string `json:"what"`
	// Unit of the figures: "us", "share", "us/request" or "bytes".
	Unit string  `json:"unit"`
	Base float64 `json:"base"`
	Test float64 `json:"test"`
	// Added is the difference, of percentiles the trimmed mean over the rounds;
	// Interval where it lies with 95 % confidence.
	Added    float64         `json:"added"`
	Interval *stats.Interval `json:"interval,omitempty"`
	// Budget is the most that Added, or Test if it is Absolute, may be; nil:
	// there is none.
	Budget   *float64       `json:"budget,omitempty"`
	Absolute bool           `json:"absolute,omitempty"`
	Verdict  budget.Verdict `json:"verdict,omitempty"`
}

// LatencyOf sums a histogram up.
func LatencyOf(h *hist.Histogram, whole bool) (Latency, error) {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	l := Latency{
		Mean: us(h.Mean()), P50: us(h.Quantile(0.5)), P75: us(h.Quantile(0.75)), P90: us(h.Quantile(0.9)),
		P99: us(h.Quantile(0.99)), P999: us(h.Quantile(0.999)), Max: us(h.Max()),
	}
	if !whole {
		return l, nil
	}
	var err error
	l.Histogram, err = h.Encode()
	return l, err
}

// WriteJSON writes the document for programs.
func (d *Document) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// maxDocument bounds what ReadJSON reads, in bytes: an hour's series of ten
// targets is some 5 MiB.
const maxDocument = 64 << 20

// ReadJSON reads a document of this schema.
func ReadJSON(r io.Reader) (*Document, error) {
	d := new(Document)
	dec := json.NewDecoder(io.LimitReader(r, maxDocument))
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("read a report: its schema is %q, not %q", d.Schema, Schema)
	}
	return d, nil
}
