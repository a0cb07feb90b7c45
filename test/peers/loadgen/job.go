// Package loadgen is the benchmark's load generator: a closed loop of GET
// requests over a fixed number of HTTP/1.1 keep-alive connections, every
// response checked, every latency recorded.
//
// It runs in a process of its own and reads the proxies' CPU clocks itself, at
// the very moments its measured block begins and ends, so that no message
// between processes lies between the count of requests and the count of time.
//
// A closed loop measures cost and capacity. Its latencies are those of a
// saturated system with that many callers; they say nothing about latency at a
// given rate, which is the open-loop tool's job.
package loadgen

import (
	"errors"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// A Job describes one block of load. It travels as JSON.
type Job struct {
	// Addr is the host:port to send to, in plaintext.
	Addr string
	// Connections is how many are kept open, each with one request at a time.
	Connections int
	// Size is the body's length in bytes that every response must have.
	Size int
	// Warmup passes unmeasured, then Measure is measured; both in nanoseconds.
	Warmup, Measure time.Duration
	// Watch names groups of process ids whose CPU time is read at both ends of
	// the measured block.
	Watch map[string][]int
}

func (j Job) validate() error {
	switch {
	case j.Addr == "":
		return errors.New("job names no address")
	case j.Connections < 1:
		return errors.New("job has no connections")
	case j.Size < 0:
		return errors.New("job has a negative size")
	case j.Warmup < 0 || j.Measure <= 0:
		return errors.New("job has no time to measure")
	}
	return nil
}

// A Result is what one block showed. It travels as JSON.
type Result struct {
	// Requests counts complete, correct responses in the measured block.
	Requests uint64
	// Errors counts connections lost to an error, warm-up included; any makes
	// the block void. FirstError is the text of one of them.
	Errors     int
	FirstError string
	// Elapsed is the true length of the measured block.
	Elapsed time.Duration
	// P50, P99 and Max describe the latency of the measured requests.
	P50, P99, Max time.Duration
	// CPU is what each group of Job.Watch spent in the block.
	CPU map[string]watch.CPU
	// Own is what the generator itself spent.
	Own watch.CPU
	// Machine is what the whole machine spent, everything included.
	Machine watch.Busy
}
