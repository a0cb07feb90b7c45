package bench

import (
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// A Cell is one load at one loss, over both ways.
type Cell struct {
	Load Load    `json:"load"`
	Loss float64 `json:"loss"`
	TCP  Way     `json:"tcp"`
	QUIC Way     `json:"quic"`
	// LessP50 and LessP99 are what QUIC takes less than TCP in the same round.
	LessP50 Figure `json:"less_p50"`
	LessP99 Figure `json:"less_p99"`
	// CPU is what QUIC costs as a multiple of TCP.
	CPU Figure `json:"cpu_ratio"`
	// Others is the share of the processors that other programs took.
	Others float64 `json:"others_share"`
}

// A Way is what one of the two showed. Latencies are trimmed means over the rounds, in
// ms, of each round's quantile.
type Way struct {
	P50 Figure  `json:"p50_ms"`
	P99 Figure  `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// CPU is the processor time of both sidecars per request, in µs.
	CPU Figure `json:"cpu_us"`
	// LateP99 is the generator's own lateness, in ms.
	LateP99   float64 `json:"late_p99_ms"`
	Requests  int64   `json:"requests"`
	PerSecond float64 `json:"per_second"`
	Queued    int64   `json:"queued"`
	Unsent    int64   `json:"unsent"`
	Failed    int64   `json:"failed"`
	First     string  `json:"first_failure,omitempty"`
	// Rounds are the p99 of each, in ms.
	Rounds []float64 `json:"rounds_p99_ms"`
}

// A Figure is a trimmed mean over rounds, and where it lies with 95 % confidence; nil
// for too few rounds.
type Figure struct {
	Mean     float64         `json:"mean"`
	Interval *stats.Interval `json:"interval,omitempty"`
}

func figure(values []float64, seed uint64) Figure {
	f := Figure{Mean: stats.TrimmedMean(values)}
	if in, ok := stats.MeanInterval(values, seed); ok {
		f.Interval = &in
	}
	return f
}

// summarise sums up what was measured, TCP first.
func summarise(l Load, measured []*compare.Measured, seed uint64) Cell {
	tcp, quic := measured[0].Rounds, measured[1].Rounds
	return Cell{
		Load: l, TCP: summariseWay(tcp, seed), QUIC: summariseWay(quic, seed),
		LessP50: figure(less(tcp, quic, p50), seed), LessP99: figure(less(tcp, quic, p99), seed),
		CPU:    figure(pairs(tcp, quic, cpu, func(a, b float64) float64 { return b / a }), seed),
		Others: others(append(append([]*load.Result{}, tcp...), quic...)),
	}
}

func summariseWay(rounds []*load.Result, seed uint64) Way {
	w := Way{
		P50: figure(each(rounds, p50), seed), P99: figure(each(rounds, p99), seed), CPU: figure(each(rounds, cpu), seed),
		LateP99: stats.TrimmedMean(each(rounds, func(r *load.Result) float64 { return ms(r.Late.Quantile(0.99)) })),
		Rounds:  each(rounds, p99),
	}
	var elapsed time.Duration
	for _, r := range rounds {
		w.Requests += r.Succeeded()
		w.Failed += r.Failed() + r.Outside
		w.Queued += r.Queued
		w.Unsent += r.Unsent
		w.Max = max(w.Max, ms(r.Latency.Max()))
		elapsed += r.Spent.Elapsed
		if w.First == "" {
			w.First = r.First + r.FirstOutside
		}
	}
	w.PerSecond = float64(w.Requests) / elapsed.Seconds()
	return w
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func p50(r *load.Result) float64 { return ms(r.Latency.Quantile(0.50)) }
func p99(r *load.Result) float64 { return ms(r.Latency.Quantile(0.99)) }

// cpu is the processor time of both sidecars per request, in µs.
func cpu(r *load.Result) float64 {
	var sum time.Duration
	for _, g := range r.Spent.Groups {
		sum += g.Total
	}
	return float64(sum) / float64(time.Microsecond) / float64(max(1, r.Succeeded()))
}

// others is the share of the machine's work that neither we nor the sidecars did, for
// all rounds together.
func others(rounds []*load.Result) float64 {
	var all, ours time.Duration
	for _, r := range rounds {
		all += r.Spent.Machine.Work + r.Spent.Machine.Steal
		ours += r.Spent.Own.Total
		for _, g := range r.Spent.Groups {
			ours += g.Total
		}
	}
	if all <= 0 {
		return 0
	}
	return max(0, float64(all-ours)/float64(all))
}

func each(rounds []*load.Result, of func(*load.Result) float64) []float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	return values
}

// pairs joins what both showed in the same round, so that what slowed the machine in
// one round slowed both.
func pairs(tcp, quic []*load.Result, of func(*load.Result) float64, join func(tcp, quic float64) float64) []float64 {
	values := make([]float64, min(len(tcp), len(quic)))
	for i := range values {
		values[i] = join(of(tcp[i]), of(quic[i]))
	}
	return values
}

func less(tcp, quic []*load.Result, of func(*load.Result) float64) []float64 {
	return pairs(tcp, quic, of, func(a, b float64) float64 { return a - b })
}

// progress is a line for who waits.
func (c Cell) progress() string {
	return fmt.Sprintf("%s at %.3g %% loss: p99 %.1f ms over TCP, %.1f ms over QUIC; CPU %.0f and %.0f µs; failed %d and %d %s%s",
		c.Load.Name, c.Loss*100, c.TCP.P99.Mean, c.QUIC.P99.Mean, c.TCP.CPU.Mean, c.QUIC.CPU.Mean, c.TCP.Failed, c.QUIC.Failed, c.TCP.First, c.QUIC.First)
}
