package report

import (
	"slices"
)

// Rivals are the programs of which the better one is the mark to beat.
func Rivals() []string { return []string{"nginx", "haproxy"} }

// heavyweight is compared with besides: the sidecar that most people run.
const heavyweight = "envoy"

// Summarise groups samples by load, in the order in which the loads first
// appear, and by peer in the order given. A peer without samples for a load
// has no result in its cell. Ratios are to the better of the rivals.
func Summarise(samples []Sample, peers, rivals []string) []Cell {
	var cells []Cell
	for _, s := range samples {
		if !slices.ContainsFunc(cells, func(c Cell) bool { return c.Load == s.Load }) {
			cells = append(cells, cell(samples, s.Load, peers, rivals))
		}
	}
	return cells
}

func cell(samples []Sample, load Load, peers, rivals []string) Cell {
	c := Cell{Load: load}
	own := slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool { return s.Load != load })
	c.Others = others(own)
	byPeer := make(map[string][]Sample, len(peers))
	for _, s := range own {
		byPeer[s.Peer] = append(byPeer[s.Peer], s)
	}
	for _, peer := range peers {
		if own := byPeer[peer]; len(own) > 0 {
			c.Results = append(c.Results, result(peer, own))
		}
	}
	c.Better = better(c.Results, rivals)
	valid := func(peer string) bool {
		return slices.ContainsFunc(c.Results, func(r Result) bool { return r.Peer == peer && r.Errors == 0 })
	}
	for i, r := range c.Results {
		if r.Errors > 0 {
			continue
		}
		if c.Better != "" {
			c.Results[i].Ratio = ratio(byPeer[r.Peer], byPeer[c.Better])
		}
		if valid(heavyweight) {
			c.Results[i].Envoy = ratio(byPeer[r.Peer], byPeer[heavyweight])
		}
	}
	return c
}

// others is the median share of processor time that was not ours.
func others(samples []Sample) float64 {
	var shares []float64
	for _, s := range samples {
		if s.Requests > 0 {
			shares = append(shares, s.ForeignShare+s.StolenShare)
		}
	}
	return Median(shares)
}

// result sums up the rounds of one peer.
func result(peer string, samples []Sample) Result {
	of := func(field func(Figures) float64) []float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = field(s.Figures)
		}
		return values
	}
	cpu := of(func(f Figures) float64 { return f.CPUMicros })
	r := Result{Peer: peer, Figures: Figures{
		CPUMicros:      Median(cpu),
		OutboundMicros: Median(of(func(f Figures) float64 { return f.OutboundMicros })),
		InboundMicros:  Median(of(func(f Figures) float64 { return f.InboundMicros })),
		UserMicros:     Median(of(func(f Figures) float64 { return f.UserMicros })),
		SystemMicros:   Median(of(func(f Figures) float64 { return f.SystemMicros })),
		Throughput:     Median(of(func(f Figures) float64 { return f.Throughput })),
		P50Micros:      Median(of(func(f Figures) float64 { return f.P50Micros })),
		P99Micros:      Median(of(func(f Figures) float64 { return f.P99Micros })),
	}}
	r.Spread = quotient(slices.Max(cpu)-slices.Min(cpu), r.CPUMicros)
	for _, s := range samples {
		r.Errors += s.Errors
		if r.FirstError == "" {
			r.FirstError = s.FirstError
		}
	}
	return r
}

// better picks the rival with the lower median of CPU time per request. The
// choice is made once per load, not per round: the minimum of two noisy
// numbers is lower than either program really is.
func better(results []Result, rivals []string) string {
	var best *Result
	for i, r := range results {
		if r.Errors > 0 || r.CPUMicros <= 0 || !slices.Contains(rivals, r.Peer) {
			continue
		}
		if best == nil || r.CPUMicros < best.CPUMicros {
			best = &results[i]
		}
	}
	if best == nil {
		return ""
	}
	return best.Peer
}

// ratio divides round by round, so that what slowed the machine in one round
// slowed both sides of its quotient.
func ratio(own, reference []Sample) Ratio {
	var cpu, throughput, p99 []float64
	for _, a := range own {
		i := slices.IndexFunc(reference, func(b Sample) bool { return b.Round == a.Round })
		if i < 0 {
			continue
		}
		b := reference[i]
		cpu = append(cpu, quotient(a.CPUMicros, b.CPUMicros))
		throughput = append(throughput, quotient(a.Throughput, b.Throughput))
		p99 = append(p99, quotient(a.P99Micros, b.P99Micros))
	}
	return Ratio{CPU: Median(cpu), Throughput: Median(throughput), P99: Median(p99)}
}

// Median returns the middle value, or the mean of the two in the middle; zero
// for none. The argument keeps its order.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quotient is a/b, and zero where there is nothing to divide by.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
