// Package report turns the samples of a run into medians and ratios, and both
// into a table for people and JSON for programs. Everything in it is a pure
// function of the samples.
package report

import (
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// A Report is everything a run found out. It is what --json writes.
type Report struct {
	Date    time.Time     `json:"date"`
	Command []string      `json:"command"`
	Machine watch.Machine `json:"machine"`
	Setup   Setup         `json:"setup"`
	// Peers holds who took part, in the order of the tables; Absent who did
	// not, with the reason.
	Peers  []Peer            `json:"peers"`
	Absent map[string]string `json:"absent,omitempty"`
	Cells  []Cell            `json:"cells"`
	Memory []Memory          `json:"memory"`
	// Samples holds every block of the closed loop in the order it ran.
	Samples []Sample `json:"samples"`
	// Open is the second part, Inspection the third; nil where it was not asked
	// for.
	Open       *Open       `json:"open_loop,omitempty"`
	Inspection *Inspection `json:"inspection,omitempty"`
	// Calls is the fourth part; nil where it was not asked for.
	Calls *Calls `json:"grpc,omitempty"`
	// Held is what inspection keeps in memory; nil where it was not asked for.
	Held *Held `json:"held,omitempty"`
	// Engines is inspection in the benchmark's own process; nil where it was not
	// asked for.
	Engines *Engines `json:"engines,omitempty"`
}

// Setup is what held for all blocks.
type Setup struct {
	Rounds int `json:"rounds"`
	// BlockSeconds were measured after WarmupSeconds that were not.
	BlockSeconds  float64 `json:"block_seconds"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	// Workers is the number each proxy was given; zero is one per processor.
	Workers int `json:"workers"`
	// Seed made the order of the peers; the same seed makes the same order.
	Seed uint64 `json:"seed"`
	// Fairness says, line by line, what was the same for all and what was not.
	Fairness []string `json:"fairness"`
}

// A Peer is a program that took part.
type Peer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Processes is how many it runs as, both sides together.
	Processes int `json:"processes"`
	// Note is what a reader must know who compares it with the others.
	Note string `json:"note,omitempty"`
}

// A Load is one shape of traffic.
type Load struct {
	Connections int `json:"connections"`
	// Size is the response body's length in bytes.
	Size int `json:"size"`
	// Rate is of an open loop, in requests per second; zero for a closed one.
	Rate float64 `json:"rate,omitempty"`
	// Request names what is sent; empty for GET of that many bytes.
	Request string `json:"request,omitempty"`
}

// String is the load in a few words.
func (l Load) String() string {
	words := plural(l.Connections, "connection") + ", " + bodySize(l.Size)
	if l.Request != "" {
		words = l.Request + ", " + plural(l.Connections, "connection")
	}
	if l.Rate > 0 {
		words += fmt.Sprintf(", %.4g requests per second", l.Rate)
	}
	return words
}

// Direct is the peer that is none: the generator speaks to the app itself.
const Direct = "direct"

// Figures are what one block, or the median of several, shows.
type Figures struct {
	// CPUMicros is CPU time per request over both proxies, in µs;
	// OutboundMicros and InboundMicros are its parts by side, UserMicros and
	// SystemMicros its parts by mode (read in coarser steps).
	CPUMicros      float64 `json:"cpu_us_per_request"`
	OutboundMicros float64 `json:"outbound_us_per_request"`
	InboundMicros  float64 `json:"inbound_us_per_request"`
	UserMicros     float64 `json:"user_us_per_request"`
	SystemMicros   float64 `json:"system_us_per_request"`
	// Throughput is requests per second.
	Throughput float64 `json:"requests_per_second"`
	P50Micros  float64 `json:"p50_us"`
	P99Micros  float64 `json:"p99_us"`
}

// A Sample is one block of one peer.
type Sample struct {
	Load
	Figures
	Round    int    `json:"round"`
	Peer     string `json:"peer"`
	Requests uint64 `json:"requests"`
	// Errors above zero make the sample void; those of the warm-up count too.
	Errors     int    `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// IdlePeersMillis is CPU time the peers spent that were not under test, in
	// ms: they are kept running, and this shows what that costs.
	IdlePeersMillis float64 `json:"idle_peers_ms"`
	// ForeignShare is the part of the machine's processor time that went to
	// anything else than this benchmark; StolenShare what the hypervisor took.
	ForeignShare float64 `json:"foreign_share"`
	StolenShare  float64 `json:"stolen_share"`
	// GeneratorMicros is the generator's own CPU time per request, in µs.
	GeneratorMicros float64 `json:"generator_us_per_request"`
	Arrivals
}

// Arrivals say of an open loop how well the generator did. Its latencies count
// from when a request was due, so that waiting for a free caller is part of them.
type Arrivals struct {
	// LateP99Micros is how much later than due requests were sent though a caller
	// had been waiting for just that: the generator's own failing.
	LateP99Micros float64 `json:"late_p99_us,omitempty"`
	// Queued were due when no caller was free, Unsent not sent at all.
	Queued int64 `json:"queued,omitempty"`
	Unsent int64 `json:"unsent,omitempty"`
}

// A Cell is one load, summed up.
type Cell struct {
	Load
	Results []Result `json:"results"`
	// Better is the one of the rivals with the lower median of CPU time per
	// request; empty if none has a valid result.
	Better string `json:"better,omitempty"`
	// Others is the median share of processor time that went to other programs
	// or machines while this load ran.
	Others float64 `json:"others_share"`
}

// A Result is one peer under one load: medians over its rounds.
type Result struct {
	Peer string `json:"peer"`
	Figures
	// Spread is the range of CPU time per request over the rounds, relative to
	// its median: how far to trust it.
	Spread float64 `json:"spread"`
	// Errors is the sum over the rounds. Above zero the result is void and
	// counts in no ratio.
	Errors     int    `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// Ratio compares with Cell.Better: the median over the rounds of the
	// quotient of the two blocks of the same round. Zero: not compared. Envoy
	// compares with Envoy in the same way.
	Ratio Ratio `json:"ratio_to_better"`
	Envoy Ratio `json:"ratio_to_envoy,omitzero"`
}

// A Ratio holds quotients; below 1 is better but for throughput.
type Ratio struct {
	CPU        float64 `json:"cpu"`
	Throughput float64 `json:"throughput"`
	P99        float64 `json:"p99"`
}

// Memory is what one peer holds, by side.
type Memory struct {
	Peer string `json:"peer"`
	// Idle is taken before any load, when one request has passed; After at the
	// end of the run, with all connections of the proxies' pools still open.
	OutboundIdle  watch.Memory `json:"outbound_idle"`
	InboundIdle   watch.Memory `json:"inbound_idle"`
	OutboundAfter watch.Memory `json:"outbound_after"`
	InboundAfter  watch.Memory `json:"inbound_after"`
}
