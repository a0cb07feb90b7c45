// Package budget is what a load may cost, and the judgement whether it did: pure
// functions over measured figures. A judgement has three outcomes, for a noisy
// machine must be able to say that it does not know.
package budget

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// A Verdict is what becomes of a budget.
type Verdict string

// The verdicts.
const (
	// Holds: with confidence.
	Holds Verdict = "holds"
	// Exceeded: with confidence.
	Exceeded Verdict = "exceeded"
	// Undecided: the run was too short or too noisy to tell.
	Undecided Verdict = "undecided"
)

// Worst is what a run comes to: one exceeded budget is enough, and one that is
// not decided keeps the rest from being called kept. No verdicts hold.
func Worst(verdicts ...Verdict) Verdict {
	worst := Holds
	for _, v := range verdicts {
		if v == Exceeded || v == Undecided && worst == Holds {
			worst = v
		}
	}
	return worst
}

// A Budget is what one load may cost. The zero Budget asks for nothing.
type Budget struct {
	// Asked tells whether there is any bound; failures are not judged without.
	Asked bool
	// Latency bounds percentiles.
	Latency []Latency
	// Failures is the share of requests that may fail, 0 to 1.
	Failures float64
	// CPU is processor time of everything watched together, per request; 0 is no
	// bound.
	CPU time.Duration
	// RSS is the resident memory of everything watched together, in bytes; 0 is
	// no bound.
	RSS int64
}

// A Latency bounds one percentile.
type Latency struct {
	// Name is as it was written, "p99.9"; Quantile the same from 0 to 1.
	Name     string
	Quantile float64
	// Added tells that Most bounds what the test takes more than the base.
	Added bool
	Most  time.Duration
}

// Judge compares an interval with the most that it may be.
func Judge(in stats.Interval, known bool, most float64) Verdict {
	switch {
	case !known:
		return Undecided
	case in.Low > most:
		return Exceeded
	case in.High <= most:
		return Holds
	}
	return Undecided
}

// JudgeFailures compares how many of n requests failed. One failure more than the
// share allows exceeds it, by chance or not: it happened.
func JudgeFailures(failed, n int64, share float64) Verdict {
	switch {
	case n == 0:
		return Undecided
	case float64(failed) > share*float64(n):
		return Exceeded
	}
	return Holds
}

// Parse reads a budget as it is written on a command line:
//
//	p50=+150us,p99=+500us    added to the base's
//	p99.9=20ms               of the test itself
//	errors=0.1%              the share of requests that may fail, 0 unless given
//	cpu=60us                 processor time per request of all that is watched
//	rss=20MiB                memory of all that is watched
func Parse(text string) (Budget, error) {
	var b Budget
	seen := map[string]bool{}
	for item := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || name == "" || value == "" {
			return Budget{}, fmt.Errorf("budget %q: write p99=+500us or errors=0.1%%", item)
		}
		if seen[name] {
			return Budget{}, fmt.Errorf("budget %q: %s stands there twice", item, name)
		}
		seen[name] = true
		if err := b.Set(name, value); err != nil {
			return Budget{}, err
		}
	}
	return b, nil
}

// Set takes over one bound.
func (b *Budget) Set(name, value string) (err error) {
	b.Asked = true
	switch {
	case name == "errors":
		b.Failures, err = parseShare(value)
	case name == "cpu":
		b.CPU, err = parseTime(value)
	case name == "rss":
		b.RSS, err = parseBytes(value)
	case strings.HasPrefix(name, "p"):
		l := Latency{Name: name}
		if l.Quantile, err = ParseQuantile(name); err != nil {
			return err
		}
		bound, added := strings.CutPrefix(value, "+")
		l.Added = added
		if l.Most, err = parseTime(bound); err == nil {
			b.Latency = append(b.Latency, l)
		}
	default:
		return fmt.Errorf("budget %s: want a percentile such as p99, errors, cpu or rss", name)
	}
	if err != nil {
		return fmt.Errorf("budget %s: %w", name, err)
	}
	return nil
}

// ParseQuantile reads "p99.9" as 0.999.
func ParseQuantile(name string) (float64, error) {
	digits, ok := strings.CutPrefix(name, "p")
	p, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(p > 0 && p <= 100) || digits[0] == '+' {
		return 0, fmt.Errorf("%q is no percentile; write p50, p99 or p99.9", name)
	}
	return math.Round(p*1e6) / 1e8, nil // so that p99.9 is 0.999, and not a bit more
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || text[0] == '-' || text[0] == '+' {
		return 0, fmt.Errorf("%q is no time; write 500us or 2ms", text)
	}
	return d, nil
}

func parseShare(text string) (float64, error) {
	digits, percent := strings.CutSuffix(text, "%")
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || !percent || !(p >= 0 && p <= 100) {
		return 0, fmt.Errorf("%q is no share; write 0.1%%", text)
	}
	return p / 100, nil
}

func parseBytes(text string) (int64, error) {
	for unit, factor := range map[string]float64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		digits, ok := strings.CutSuffix(text, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err == nil && n > 0 && n*factor < 1<<50 {
			return int64(n * factor), nil
		}
	}
	return 0, fmt.Errorf("%q is no amount of memory; write 20MiB", text)
}
