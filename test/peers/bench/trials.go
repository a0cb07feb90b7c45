package bench

import (
	"math"

	"github.com/outrider-mesh/outrider/test/peers/report"
)

// Seeds of the parts differ, so that their orders do.
const (
	openSeed       = 1000
	inspectionSeed = 2000
	callsSeed      = 3000
)

// closedLoops are every number of connections with every size.
func (b *benchmark) closedLoops() []trial {
	o, trials := b.options, []trial(nil)
	for _, connections := range o.connections.values {
		for _, size := range o.sizes.values {
			trials = append(trials, trial{
				Load: report.Load{Connections: connections, Size: size}, request: plain(size), peers: names(b.plain),
				rounds: o.rounds, warmup: o.warmup, block: o.block, seed: o.seed + uint64(len(trials)),
			})
		}
	}
	return trials
}

// openLoop is what every service looks like most of the time: far from saturated.
func (b *benchmark) openLoop() trial {
	o := b.options
	return trial{
		Load:    report.Load{Connections: o.open.callers, Size: answerSize, Rate: o.open.rate},
		request: plain(answerSize), peers: append([]string{report.Direct}, names(b.plain)...),
		rounds: o.open.rounds, warmup: o.warmup, block: o.open.block, seed: o.seed + openSeed,
	}
}

// closedInspection is the i-th kind of request as fast as it goes.
func (b *benchmark) closedInspection(i int, kind inspectable, peers []string) trial {
	o := b.options
	return trial{
		Load:    report.Load{Connections: o.inspection.connections, Size: answerSize, Request: kind.name},
		request: kind.sent(), refused: kind.refused, peers: peers,
		rounds: o.rounds, warmup: o.warmup, block: o.block, seed: o.seed + inspectionSeed + uint64(2*i),
	}
}

// openInspection is the same at a rate.
func (b *benchmark) openInspection(i int, kind inspectable, peers []string, rate float64) trial {
	o := b.options
	return trial{
		Load:    report.Load{Connections: o.open.callers, Size: answerSize, Request: kind.name, Rate: rate},
		request: kind.benign, peers: append([]string{report.Direct}, peers...),
		rounds: o.open.rounds, warmup: o.warmup, block: o.open.block, seed: o.seed + inspectionSeed + uint64(2*i+1),
	}
}

// bearable is a rate that all carry: a third of what the slowest did in its
// closed loops, to two digits. Zero if nobody did anything.
func bearable(results []report.Result) float64 {
	slowest := math.Inf(1)
	for _, r := range results {
		if r.Errors == 0 {
			slowest = min(slowest, r.Throughput)
		}
	}
	if math.IsInf(slowest, 1) || slowest <= 0 {
		return 0
	}
	third := slowest / 3
	unit := math.Pow(10, math.Floor(math.Log10(third))-1)
	return math.Max(1, math.Floor(third/unit)*unit)
}
