// Package report turns the samples of a run into medians and ratios, and both
// into a table for people and JSON for programs. Everything in it is a pure
// function of the samples.
package report

import (
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
	// Samples holds every block in the order it ran.
	Samples []Sample `json:"samples"`
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
}

// A Load is one shape of traffic.
type Load struct {
	Connections int `json:"connections"`
	// Size is the response body's length in bytes.
	Size int `json:"size"`
}

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
	// Errors above zero make the sample void.
	Errors     int    `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// IdlePeersMillis is CPU time the peers spent that were not under test, in
	// ms: they are kept running, and this shows what that costs.
	IdlePeersMillis float64 `json:"idle_peers_ms"`
	// ForeignShare is the part of the machine's processor time that went to
	// anything else than this benchmark; StolenShare what the hypervisor took.
	ForeignShare float64 `json:"foreign_share"`
	StolenShare  float64 `json:"stolen_share"`
}

// A Cell is one load, summed up.
type Cell struct {
	Load
	Results []Result `json:"results"`
	// Better is the one of nginx and HAProxy with the lower median of CPU time
	// per request; empty if neither has a valid result.
	Better string `json:"better,omitempty"`
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
	// quotient of the two blocks of the same round. Zero: not compared.
	Ratio Ratio `json:"ratio_to_better"`
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
