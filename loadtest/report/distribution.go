package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/report/plot"
)

// perNine is how many points a curve has between one nine and the next.
const perNine = 32

// distribution draws which latency what share of the requests did not exceed, one
// curve for each target.
func (s Scenario) distribution() chart {
	c := wideChart("Latency by percentile", tallHeight, 36)
	x := plot.Nines(s.nines())
	shares := x.Ticks[len(x.Ticks)-1]
	var qs []float64
	for n := 0.0; n <= float64(s.nines()); n += 1.0 / perNine {
		qs = append(qs, min(plot.AtNines(n), shares))
	}
	curves := make([][]float64, len(s.Targets))
	low, high := math.Inf(1), 0.0
	for i, t := range s.Targets {
		curves[i] = t.Latency.quantiles(qs)
		for _, v := range curves[i] {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	y := plot.Log(low, high, 9)
	c.horizontal(x, "percentile of requests", percentile)
	c.vertical(y, "latency", micros)
	for i, values := range curves {
		points := make([]plot.Point, len(qs))
		for j, q := range qs {
			points[j] = c.place(x, y, q, values[j])
		}
		c.Curves = append(c.Curves, curve{Path: plot.Path(points), Class: seriesClass(i)})
	}
	c.Readings = readings(s.distributionReadings(&c, x, qs, curves))
	c.Summary = s.distributionSummary()
	return c
}

// place leaves out what has no place on a logarithmic axis.
func (c *chart) place(x, y plot.Scale, vx, vy float64) plot.Point {
	if !(vy > 0) {
		return plot.Gap()
	}
	return c.point(x, y, vx, vy)
}

// nines is how many a distribution is drawn to: so far that ten requests at least
// are beyond, for fewer are an anecdote, and not farther than 99.999 %.
func (s Scenario) nines() int {
	most := int64(0)
	for _, t := range s.Targets {
		most = max(most, t.Requests)
	}
	return int(min(max(math.Floor(math.Log10(float64(max(most, 1))/10)), 2), 5))
}

// quantiles are latencies in microseconds at shares: of the histogram, or where
// there is none between the percentiles that are known.
func (l Latency) quantiles(qs []float64) []float64 {
	values := make([]float64, len(qs))
	h, err := hist.Decode(l.Histogram)
	if l.Histogram == "" || err != nil {
		for i, q := range qs {
			values[i] = l.known(q)
		}
		return values
	}
	for i, q := range qs {
		values[i] = float64(h.Quantile(q)) / 1e3
	}
	return values
}

// known is a quantile as far as the percentiles say: that of the next one.
func (l Latency) known(q float64) float64 {
	for _, p := range []struct{ q, us float64 }{{0.5, l.P50}, {0.75, l.P75}, {0.9, l.P90}, {0.99, l.P99}, {0.999, l.P999}} {
		if q <= p.q {
			return p.us
		}
	}
	return l.Max
}

// percentile names a share, p99.9; the beginning briefly, for p50 is near.
func percentile(q float64) string {
	if q <= 0 {
		return "0"
	}
	return "p" + strconv.FormatFloat(math.Round(q*1e9)/1e7, 'f', -1, 64)
}

// finePercentile names one between the round ones, with one digit more than it
// has nines.
func finePercentile(q float64) string {
	if q <= 0 {
		return "p0"
	}
	digits := 1
	for rest := 1 - q; rest < 0.0999 && digits < 6; rest *= 10 {
		digits++
	}
	text := strconv.FormatFloat(q*100, 'f', digits, 64)
	return "p" + strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func (s Scenario) distributionReadings(c *chart, x plot.Scale, qs []float64, curves [][]float64) []reading {
	all := make([]reading, 0, len(qs))
	for j, q := range qs {
		parts := make([]string, len(curves))
		for i, values := range curves {
			parts[i] = s.Targets[i].Name + " " + micros(values[j])
		}
		all = append(all, reading{c.Frame.Point(x.Share(q), 0).X, finePercentile(q) + ": " + strings.Join(parts, ", ")})
	}
	return all
}

func (s Scenario) distributionSummary() string {
	parts := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		parts[i] = fmt.Sprintf("%s from %s at p50 over %s at p99 to %s", t.Name, micros(t.Latency.P50), micros(t.Latency.P99), micros(t.Latency.Max))
	}
	return "Latency by percentile, both axes logarithmic: " + strings.Join(parts, "; ") + "."
}
