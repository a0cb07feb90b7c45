package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack"
	"github.com/outrider-mesh/outrider/loadtest/pace"
)

// attackFlags are those of "outrider-load attack".
type attackFlags struct {
	options                 attack.Options
	rate                    string
	block, unclear          string
	detection, alarms       string
	errors                  string
	accessLog               string
	json, missed, falsehood string
	only                    string
	identity                identityFlags
}

func (f *attackFlags) register(fs *flag.FlagSet, getenv func(string) string) {
	o := &f.options
	fs.StringVar(&o.Endpoint.URL, "url", "", "where to send to, http://HOST:PORT or https://HOST:PORT; paths are those of the samples")
	fs.StringVar(&o.Host, "host", "", "Host to send in place of the samples' own (default: the URL's)")
	fs.BoolVar(&o.KeepHost, "keep-host", false, "send the samples' own Host")
	fs.IntVar(&o.Connections, "connections", 4, "how many requests may be under way")
	fs.StringVar(&f.rate, "rate", "", "`requests` per second: 100, 10..100@30s or 10@10s,100 (default: as fast as answers come)")
	fs.DurationVar(&o.Endpoint.Timeout, "timeout", 10*time.Second, "how long a request may take, and a connection to be made")

	fs.StringVar(&f.block, "block-status", "403", "`statuses` of a WAF that blocks; empty: only an Outrider that says so does")
	fs.StringVar(&f.unclear, "unclear-status", "429,502,503,504", "`statuses` that say nothing about the WAF")
	fs.BoolVar(&o.Rules.CountRefusals, "count-refusals", true, "count what is no valid HTTP to an Outrider, or cannot be inspected, as stopped")
	fs.BoolVar(&o.Rules.DropBlocks, "drop-blocks", false, "take a connection that ends without an answer for a block")
	fs.StringVar(&f.accessLog, "access-log", "", "the Outrider's access log, a `file` that it is writing: adds rules and scores")
	fs.BoolVar(&o.Rules.FromLog, "from-log", false, "judge by what the access log says, as for a policy in mode Detect")
	fs.DurationVar(&o.LogWait, "log-wait", 5*time.Second, "how long to wait for the last records")

	fs.StringVar(&f.detection, "min-detection", "", "least `share` of attacks to be stopped, as 70%")
	fs.StringVar(&f.alarms, "max-false-positives", "", "greatest `share` of benign requests that may be stopped, as 1%")
	fs.StringVar(&f.errors, "max-errors", "1%", "greatest `share` of samples that may say nothing; above it the run is inconclusive")

	fs.StringVar(&f.json, "json", "", "`file` to write everything to; - is standard output, and the table then goes to standard error")
	fs.StringVar(&f.missed, "misses", "", "`file` to list those attacks in that passed")
	fs.StringVar(&f.falsehood, "false-positives", "", "`file` to list those benign requests in that were stopped")
	fs.StringVar(&f.only, "only", "", "send only the samples of such a list, a `file`")
	f.identity.register(fs, getenv)
}

// complete parses what is more than a word.
func (f *attackFlags) complete() error {
	o := &f.options
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	var err error
	if f.rate != "" {
		o.Rate, err = pace.Parse(f.rate)
		keep(err)
	}
	o.Rules.BlockStatus, err = attackStatuses("block-status", f.block)
	keep(err)
	o.Rules.UnclearStatus, err = attackStatuses("unclear-status", f.unclear)
	keep(err)
	o.Gates.MinDetection, err = attackShare("min-detection", f.detection)
	keep(err)
	o.Gates.MaxFalseAlarms, err = attackShare("max-false-positives", f.alarms)
	keep(err)
	most, err := attackShare("max-errors", f.errors)
	keep(err)
	if most != nil {
		o.Gates.MaxErrors = *most
	}
	if o.Endpoint.URL == "" {
		keep(errors.New("--url is missing"))
	}
	if o.Connections < 1 {
		keep(fmt.Errorf("--connections is %d, want at least 1", o.Connections))
	}
	keep(f.identity.check())
	for _, file := range []struct{ flag, path string }{{"json", f.json}, {"misses", f.missed}, {"false-positives", f.falsehood}} {
		switch {
		case file.path == "" || file.path == "-" && file.flag == "json":
		case file.path == "-":
			keep(fmt.Errorf("--%s -: only --json goes to standard output; name a file", file.flag))
		default:
			keep(writable(file.path))
		}
	}
	return errors.Join(errs...)
}

func attackStatuses(name, text string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(text, ",") {
		if text == "" {
			break
		}
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is no status", name, word)
		}
		all = append(all, n)
	}
	return all, nil
}

// attackShare reads "70%"; nil for nothing.
func attackShare(name, text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || !percent || !(p >= 0 && p <= 100) {
		return nil, fmt.Errorf("--%s: %q is no share; write 70%%", name, text)
	}
	p /= 100
	return &p, nil
}
