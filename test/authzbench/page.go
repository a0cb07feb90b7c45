package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// The part of the page that a run replaces.
const (
	beginMarker = "<!-- bench-authz: begin. Written by make bench-authz; do not edit. -->\n"
	endMarker   = "<!-- bench-authz: end -->\n"
)

// A result is all of a run.
type result struct {
	args    []string
	machine watch.Machine
	rows    []row
}

func newResult(args []string) *result {
	r := &result{machine: watch.DescribeMachine()}
	for i := 0; i < len(args); i++ { // but for where the result goes
		if strings.TrimLeft(args[i], "-") == "markdown" {
			i++
			continue
		}
		r.args = append(r.args, args[i])
	}
	return r
}

func (r *result) markdown() string {
	var b strings.Builder
	m := r.machine
	fmt.Fprintf(&b, "%s, %s, %d processors, %s; load when it began: %s.\n%s.\n",
		time.Now().UTC().Format(time.DateOnly), m.CPUModel, m.CPUs, m.Go, m.LoadAverage, versions())
	if len(r.args) > 0 {
		fmt.Fprintf(&b, "Options: `%s`.\n", strings.Join(r.args, " "))
	}
	for _, s := range shapes() {
		fmt.Fprintf(&b, "\nCPU time of one decision, where %s:\n\n| rules |", s.what)
		line := "|--:|"
		for i, e := range engines() {
			if r.has(s, i) {
				b.WriteString(" " + e.name + " |")
				line += "--:|"
			}
		}
		b.WriteString("\n" + line + "\n")
		for _, row := range r.rows {
			if row.shape == s {
				r.line(&b, row)
			}
		}
	}
	return b.String()
}

// has tells whether an engine has anything to show for a shape.
func (r *result) has(s shape, engine int) bool {
	for _, row := range r.rows {
		if row.shape == s && row.cells[engine].present {
			return true
		}
	}
	return false
}

func (r *result) line(b *strings.Builder, row row) {
	fmt.Fprintf(b, "| %d |", row.n)
	for i, c := range row.cells {
		switch {
		case !r.has(row.shape, i):
		case !c.present:
			b.WriteString(" – |")
		case i == 0:
			fmt.Fprintf(b, " **%s**, %.0f allocations |", duration(c.nanos), c.allocs)
		default:
			fmt.Fprintf(b, " %s (%s×), %.0f allocations |", duration(c.nanos), short(c.ratio), c.allocs)
		}
	}
	b.WriteString("\n")
}

func duration(nanos float64) string {
	switch {
	case nanos < 1000:
		return fmt.Sprintf("%.0f ns", nanos)
	case nanos < 1e6:
		return short(nanos/1e3) + " µs"
	}
	return short(nanos/1e6) + " ms"
}

func short(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// versions names what was compared.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "versions unknown"
	}
	var all []string
	for _, d := range info.Deps {
		switch d.Path {
		case "github.com/cedar-policy/cedar-go", "github.com/open-policy-agent/opa":
			all = append(all, d.Path+" "+d.Version)
		}
	}
	return strings.Join(all, ", ")
}

// around returns a page's text before and after the part between the markers.
func around(page string) (before, after string, err error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return "", "", fmt.Errorf("read the page: %w", err)
	}
	before, rest, begun := strings.Cut(string(text), beginMarker)
	_, after, ended := strings.Cut(rest, endMarker)
	if !begun || !ended {
		return "", "", fmt.Errorf("%s lacks a marker: %q and %q have to be there, in this order", page, beginMarker, endMarker)
	}
	return before, after, nil
}

// write replaces the part between the markers.
func (r *result) write(page string) error {
	before, after, err := around(page)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(before+beginMarker+r.markdown()+endMarker+after), 0o644)
}
