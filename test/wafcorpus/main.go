// Command wafcorpus says how good the built-in WAF is on labelled requests: detection
// and false positives of the stock rule set and of the mesh profile, by class of
// attack and by family, with intervals. It runs in one process, without a network.
//
//	go run ./test/wafcorpus [flags] [DIRECTORY|FILE ...]
//
// The corpus is not part of this repository. docs/waf-detection.md has the figures and says
// where they come from.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "wafcorpus:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	cache, misses string
	noisy         bool
	groups, quick bool
	services      int
	inspect       int
	paths         []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("wafcorpus", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.cache, "cache", "", "`file` that keeps what the rule set found in each sample, so that only our own part runs again")
	flags.StringVar(&o.misses, "misses", "", "`file` to list the samples in that were judged wrongly, by name")
	flags.BoolVar(&o.noisy, "noisy", false, "print the rules that took 3 of 16,557 benign requests, or as large a share, for attacks")
	flags.BoolVar(&o.groups, "groups", false, "print how many benign requests of each group were stopped, and by what; a sample's group is its name up to the last slash")
	flags.BoolVar(&o.quick, "quick", false, "don't ask the rule set: what stands there of it is nothing, and of the profile what the detectors say")
	flags.IntVar(&o.services, "services", 0, "how many benign `calls` between services are made up and added")
	flags.IntVar(&o.inspect, "inspect-bytes", 16<<10, "how many `bytes` of a body are inspected")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.paths = flags.Args()
	if len(o.paths) == 0 && o.services == 0 {
		return o, errors.New("name a directory of *.black and *.white files, or files of JSON lines, or say -services")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	found, err := corpus.Read(ctx, opts.paths...)
	if err != nil {
		return err
	}
	samples := append(found.Samples, generated(opts.services)...)
	results, err := evaluateAll(ctx, samples, opts, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d attacks, %d benign requests; %d files could not be read\n",
		labelled(results, corpus.Attack), labelled(results, corpus.Benign), len(found.Unreadable))
	if opts.noisy {
		fmt.Fprintln(stdout, learnNoisy(results, func(int) bool { return true }))
	}
	if opts.misses != "" {
		if err := writeMisses(opts.misses, results); err != nil {
			return err
		}
	}
	if opts.groups {
		if err := byGroup(stdout, results); err != nil {
			return err
		}
	}
	return report(stdout, results, families(samples))
}

// evaluateAll asks the rule set, as far as that is not known, and the detectors.
func evaluateAll(ctx context.Context, samples []corpus.Sample, opts options, progress io.Writer) ([]result, error) {
	known, err := loadCache(opts.cache)
	if err != nil {
		return nil, err
	}
	if !opts.quick {
		if err := known.fill(ctx, samples, opts.inspect, progress); err != nil {
			return nil, err
		}
	}
	results := make([]result, len(samples))
	for i := range samples {
		results[i] = evaluate(&samples[i], known.entries[samples[i].ID], opts.inspect)
	}
	return results, nil
}
