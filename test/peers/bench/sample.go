package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// The groups of processes whose clocks are read.
const (
	outboundGroup = "outbound"
	inboundGroup  = "inbound"
	appGroup      = "app"
	idleGroup     = "idle"
)

// newSample turns clocks and counts into figures per request. A block in which
// nothing completed is void even if nothing failed.
func newSample(t trial, peer string, round int, r *load.Result) report.Sample {
	s := report.Sample{
		Load: t.Load, Round: round, Peer: peer, Requests: uint64(r.Succeeded()),
		Errors: int(r.Failed() + r.Outside), FirstError: r.First,
	}
	if s.FirstError == "" {
		s.FirstError = r.FirstOutside
	}
	if s.Requests == 0 && s.Errors == 0 {
		s.Errors, s.FirstError = 1, noneCompleted
	}
	if s.Requests > 0 {
		s.Figures = figures(t, r)
		s.GeneratorMicros = micros(r.Spent.Own.Total) / float64(s.Requests)
	}
	s.IdlePeersMillis = micros(r.Spent.Groups[idleGroup].Total) / 1e3
	s.ForeignShare, s.StolenShare = others(r)
	if t.Rate > 0 {
		s.Arrivals = report.Arrivals{LateP99Micros: micros(r.Late.Quantile(0.99)), Queued: r.Queued, Unsent: r.Unsent}
	}
	return s
}

// figures are those per request. Requests are counted in exactly the block, and
// clocks read a little beside its two ends, so their time is brought to its length.
func figures(t trial, r *load.Result) report.Figures {
	n := float64(r.Succeeded())
	per := func(d time.Duration) float64 {
		return micros(d) / n * t.block.Seconds() / r.Spent.Elapsed.Seconds()
	}
	out, in := r.Spent.Groups[outboundGroup], r.Spent.Groups[inboundGroup]
	both := out.Add(in)
	return report.Figures{
		CPUMicros: per(both.Total), OutboundMicros: per(out.Total), InboundMicros: per(in.Total),
		UserMicros: per(both.User), SystemMicros: per(both.System),
		Throughput: n / t.block.Seconds(),
		P50Micros:  micros(r.Latency.Quantile(0.5)), P99Micros: micros(r.Latency.Quantile(0.99)),
	}
}

// others are the shares of the machine's time that went to other programs and to
// other machines. They are read from counters of different grain, so the first
// might come out below zero.
func others(r *load.Result) (foreign, stolen float64) {
	ours := r.Spent.Own.Total
	for _, cpu := range r.Spent.Groups {
		ours += cpu.Total
	}
	available := r.Spent.Elapsed.Seconds() * float64(runtime.NumCPU())
	if available <= 0 {
		return 0, 0
	}
	return max((r.Spent.Machine.Work-ours).Seconds()/available, 0), r.Spent.Machine.Steal.Seconds() / available
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// noneCompleted is what a block is void for in which nothing went wrong.
const noneCompleted = "no request completed"

// failed makes a run with wrong answers an error, after its report. Who is too slow to
// inspect a large request within a block has no figures, and that is all.
func failed(samples []report.Sample) error {
	void := 0
	for _, s := range samples {
		if s.Errors > 0 && (s.Request == "" || s.FirstError != noneCompleted) {
			void++
		}
	}
	if void == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d blocks had errors", void, len(samples))
}

// ringSize is the size of HAProxy's log ring, in bytes; see its template.
const ringSize = 1 << 20

// emptyLogs keeps the access logs of a long run from filling the disk. The
// programs append, so they go on at the beginning.
func emptyLogs(paths []string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// HAProxy's is a ring of fixed size, mapped into its memory: cutting it
		// would kill the program.
		if err == nil && info.Size() > ringSize {
			err = os.Truncate(path, 0)
		}
		if err != nil {
			return fmt.Errorf("empty an access log: %w", err)
		}
	}
	return nil
}
