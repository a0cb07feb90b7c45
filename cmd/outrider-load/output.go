package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// outputFlags say where a report goes beside the terminal.
type outputFlags struct{ json, html, prometheus string }

func (o *outputFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&o.json, "json", "", "`file` to write everything to, for programs and for \"outrider-load diff\"; - is standard output, and the table then goes to standard error")
	fs.StringVar(&o.html, "html", "", "`file` to write a page with plots to, which needs nothing but a browser")
	fs.StringVar(&o.prometheus, "prometheus", "", "`file` to write the result to as Prometheus text")
}

// check tells before anything is measured what could not be written after it.
func (o *outputFlags) check() error {
	var errs []error
	seen := map[string]string{}
	for _, f := range []struct{ flag, path string }{{"json", o.json}, {"html", o.html}, {"prometheus", o.prometheus}} {
		other, twice := seen[f.path]
		switch {
		case f.path == "" || f.path == "-" && f.flag == "json":
			continue
		case f.path == "-":
			errs = append(errs, fmt.Errorf("--%s -: only --json goes to standard output; name a file", f.flag))
		case twice:
			errs = append(errs, fmt.Errorf("--%s and --%s: both name %s", other, f.flag, f.path))
		default:
			errs = append(errs, writable(f.path))
		}
		seen[f.path] = f.flag
	}
	return errors.Join(errs...)
}

// write prints the table and writes the files, all that can be written.
func (o *outputFlags) write(d *report.Document, env cli.Environment) error {
	table, errs := env.Stdout, []error(nil)
	if o.json == "-" {
		table = env.Stderr
		errs = append(errs, d.WriteJSON(env.Stdout))
	}
	errs = append(errs, d.WriteTable(table))
	for _, f := range []struct {
		path  string
		write func(io.Writer) error
	}{{o.json, d.WriteJSON}, {o.html, d.WritePage}, {o.prometheus, d.WritePrometheus}} {
		if f.path != "" && f.path != "-" {
			errs = append(errs, writeFile(f.path, f.write))
		}
	}
	return errors.Join(errs...)
}

// document is a report without its scenarios.
func document(command []string) *report.Document {
	return &report.Document{
		Schema: report.Schema, Tool: "outrider-load " + buildinfo.Version().String(), Command: discreet(command),
		Date: time.Now().UTC().Truncate(time.Second), Machine: watch.DescribeMachine(),
	}
}

// discreet leaves the values of header fields out of a command line: a report is
// kept and handed on, and a field is where credentials stand.
func discreet(command []string) []string {
	shown := slices.Clone(command)
	for i, word := range shown {
		flag, value, joined := strings.Cut(word, "=")
		if flag != "-header" && flag != "--header" {
			continue
		}
		if joined {
			shown[i] = flag + "=" + fieldName(value)
		} else if i+1 < len(shown) {
			shown[i+1] = fieldName(shown[i+1])
		}
	}
	return shown
}

func fieldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name + ": …"
}

// interrupted turns the end of a run by a signal into an error that says so.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted, so there is no report: %w", context.Cause(ctx))
	}
	return err
}
