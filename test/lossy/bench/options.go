package bench

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	losses         []float64 // shares
	roundTrip      time.Duration
	rounds         int
	block, warmup  time.Duration
	congestion     string
	only           string
	seed           uint64
	json, markdown string
	outrider       string
}

func defaults() options {
	return options{
		losses: []float64{0, 0.01, 0.02, 0.05}, roundTrip: 20 * time.Millisecond,
		rounds: 8, block: 1900 * time.Millisecond, warmup: 400 * time.Millisecond,
		outrider: "bin/outrider",
	}
}

const usage = `Usage: go run ./test/lossy [flags]

Compares the mesh hop over TCP with the hop over QUIC on a path that delays and loses
packets. It needs root, for two network namespaces. test/lossy/README.md says what is
measured and how to read it.

`

// parseOptions reads the command line. Help goes to out and is flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := defaults()
	fs := flag.NewFlagSet("lossy", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	fs.Func("loss", "`percentages` of packets lost in each direction, separated by commas (default 0,1,2,5)", o.setLosses)
	fs.DurationVar(&o.roundTrip, "round-trip", o.roundTrip, "delay of the path, there and back")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "blocks per hop and load; an interval needs eight")
	fs.DurationVar(&o.block, "block", o.block, "measured length of a block")
	fs.DurationVar(&o.warmup, "warmup", o.warmup, "unmeasured length before each block")
	fs.StringVar(&o.congestion, "tcp", o.congestion, "`algorithm` of TCP's congestion control, as the kernel names it (default: the kernel's own)")
	fs.StringVar(&o.only, "only", "", "`name` of the one load to run")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of what is lost, when requests are due and whose turn it is (default: random)")
	fs.StringVar(&o.json, "json", "", "`file` to write everything to")
	fs.StringVar(&o.markdown, "markdown", "", "`file` whose part between the two markers is replaced by the figures")
	fs.StringVar(&o.outrider, "outrider", o.outrider, "`path` of the sidecar")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q is not understood", fs.Arg(0))
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, o.validate()
}

func (o *options) setLosses(text string) error {
	o.losses = nil
	for word := range strings.SplitSeq(text, ",") {
		percent, err := strconv.ParseFloat(word, 64)
		if err != nil || !(percent >= 0 && percent <= 50) {
			return fmt.Errorf("%q is no percentage from 0 to 50", word)
		}
		o.losses = append(o.losses, percent/100)
	}
	return nil
}

func (o *options) validate() error {
	for _, c := range []struct {
		name        string
		value       time.Duration
		least, most time.Duration
	}{
		{"round-trip", o.roundTrip, 0, time.Second},
		{"block", o.block, 100 * time.Millisecond, time.Hour},
		{"warmup", o.warmup, 0, time.Hour},
	} {
		if c.value < c.least || c.value > c.most {
			return fmt.Errorf("--%s is %v, want %v to %v", c.name, c.value, c.least, c.most)
		}
	}
	if o.rounds < 1 || o.rounds > 1000 {
		return fmt.Errorf("--rounds is %d, want 1 to 1000", o.rounds)
	}
	for _, l := range loads() {
		if o.only == "" || l.Name == o.only {
			return nil
		}
	}
	return fmt.Errorf("--only names %q, which is no load", o.only)
}
