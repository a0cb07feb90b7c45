package report

import (
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// compareMachines tells whether one is so unlike the other that latencies can't be
// compared, and of lesser differences that they are there.
func (d *Difference) compareMachines(was, is watch.Machine) (unlike bool) {
	for _, of := range []struct {
		what         string
		older, newer any
		decisive     bool
	}{
		{"processor", was.CPUModel, is.CPUModel, true},
		{"number of processors", was.CPUs, is.CPUs, true},
		{"architecture", was.Arch, is.Arch, true},
		{"kernel", was.Kernel, is.Kernel, false},
		{"Go version", was.Go, is.Go, false},
	} {
		if of.older == of.newer {
			continue
		}
		unlike = unlike || of.decisive
		d.Doubts = append(d.Doubts, fmt.Sprintf("another %s: %v, then %v", of.what, of.older, of.newer))
	}
	return unlike
}

// compareLoads does the same with two loads, and hands on doubts of either.
func (c *Comparable) compareLoads(before, after Scenario) {
	was, is := before.Load, after.Load
	for _, of := range []struct {
		what         string
		older, newer any
		decisive     bool
	}{
		{"protocol", was.Protocol, is.Protocol, true},
		{"request", was.Request, is.Request, true},
		{"length of the body", was.BodyBytes, is.BodyBytes, true},
		{"kind of arrivals", was.Arrivals, is.Arrivals, true},
		{"rate", was.Rate, is.Rate, true},
		{"number of callers", was.Callers, is.Callers, true},
		{"number of callers to a connection", was.Streams, is.Streams, true},
		{"number of rounds", was.Rounds, is.Rounds, false},
		{"length of the warm-up", seconds(was.WarmupSeconds), seconds(is.WarmupSeconds), false},
		// A percentile of fewer requests is another estimate of it, and of 1 % of
		// them a biased one.
		{"length of a round", seconds(was.BlockSeconds), seconds(is.BlockSeconds), false},
	} {
		if of.older == of.newer {
			continue
		}
		c.Incomparable = c.Incomparable || of.decisive
		c.Doubts = append(c.Doubts, fmt.Sprintf("another %s: %v, then %v", of.what, of.older, of.newer))
	}
	c.Incomparable = c.Incomparable || before.lateGenerator() || after.lateGenerator()
	for _, doubt := range before.Doubts {
		c.Doubts = append(c.Doubts, "of the old report: "+doubt)
	}
	for _, doubt := range after.Doubts {
		c.Doubts = append(c.Doubts, "of the new report: "+doubt)
	}
}

// lateGenerator tells whether the load was not the one that was asked for. The
// report has a doubt about it.
func (s Scenario) lateGenerator() bool {
	const most = 1000 // µs at p99
	return slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Late.P99 > most })
}
