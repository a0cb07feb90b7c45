package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/feed"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// check is "outrider check": it finds every problem that "outrider run" would
// find, without running.
func check(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("check")
	path := fs.String("config", "", "the sidecar's `file`")
	dir := fs.String("policies", "", "`directory` of policy documents; those that the file names, if empty")
	if _, err := program().Parse(fs, args, 0, env); err != nil {
		return err
	}
	if *path == "" && *dir == "" {
		fmt.Fprintln(env.Stderr, "outrider check: name a file with --config, a directory with --policies, or both")
		return program().Usage
	}
	r := report{out: env.Stdout}
	dirs := []string{*dir}
	if *path != "" {
		c, warnings, err := config.LoadSidecar(*path)
		r.add(warnings, err)
		if c != nil {
			m := c.Metadata
			r.workload = authz.Workload{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels}
			r.opaque = c.Spec.OpaquePorts()
			if p := c.Spec.Policies; *dir == "" && p != nil {
				dirs = []string{p.Directory, p.Shadow}
			}
		}
	}
	for _, d := range dirs {
		if d != "" {
			r.policies(ctx, d)
		}
	}
	return r.end()
}

// report collects problems and prints them as they come.
type report struct {
	out io.Writer
	// workload is whom policies are for, as far as that is known, and opaque its
	// ports that carry no HTTP.
	workload         authz.Workload
	opaque           []uint16
	errors, warnings int
}

func (r *report) add(warnings []config.Problem, err error) {
	for _, w := range warnings {
		r.warnings++
		fmt.Fprintln(r.out, w) // begins with its severity
	}
	var invalid *config.Invalid
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		for _, p := range invalid.Problems {
			if p.Severity == config.Warning {
				r.warnings++
				fmt.Fprintln(r.out, p)
				continue
			}
			r.errors++
			fmt.Fprintln(r.out, "error:", p)
		}
	default:
		r.errors++
		fmt.Fprintln(r.out, "error:", err)
	}
}

// policies checks the documents of a directory, and that their rule sets build.
func (r *report) policies(ctx context.Context, dir string) {
	documents := new(config.Documents)
	source := feed.NewDirectory(feed.Options{Dir: dir, Apply: func(d *config.Documents) error {
		documents = d
		return nil
	}})
	if err := source.Load(ctx); err != nil {
		r.add(nil, err)
		return
	}
	r.add(documents.Warnings, nil)
	r.add(documents.LintPorts(r.workload, r.opaque), nil)
	inspector, err := inspect.New(documents.Inspection, inspect.Options{Workload: r.workload})
	if err != nil {
		r.add(nil, err)
		return
	}
	inspector.Close()
	for _, u := range inspector.Unproved() {
		r.warnings++
		fmt.Fprintf(r.out, "warning: InspectionPolicy %s: no request is proved clean beforehand, so each costs what all rules do: %v\n", u.Policy, u.Reason)
	}
	r.relaxations(documents.Inspection, time.Now())
	fmt.Fprintf(r.out, "%s: %d access and %d inspection policies, generation %s\n",
		filepath.Base(dir), len(documents.Access), len(documents.Inspection), documents.Generation)
}

// relaxations lists what makes inspection look for less, and until when.
func (r *report) relaxations(policies []config.InspectionPolicy, now time.Time) {
	for _, p := range policies {
		for _, x := range p.Spec.Relaxations() {
			name := p.Metadata.Name
			if p.Metadata.Namespace != "" {
				name = p.Metadata.Namespace + "/" + name
			}
			severity := "relaxed"
			if x.Expires.Passed(now) {
				severity = "warning"
				r.warnings++
			}
			fmt.Fprintf(r.out, "%s: InspectionPolicy %s: %s: %s; %s", severity, name, x.Field, x.What, x.Until(now))
			if x.Reason != "" {
				fmt.Fprintf(r.out, " (%q)", x.Reason)
			}
			fmt.Fprintln(r.out)
		}
	}
}

func (r *report) end() error {
	fmt.Fprintf(r.out, "%s, %s\n", count(r.errors, "error"), count(r.warnings, "warning"))
	if r.errors > 0 {
		return failed
	}
	return nil
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
