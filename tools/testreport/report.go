package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// An event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	// ImportPath is set instead of Package while building.
	ImportPath string
	// Test is empty for what concerns the whole package.
	Test    string
	Elapsed float64 // seconds
	Output  string
	// Key and Value are what a test said with T.Attr.
	Key, Value string
}

// casesKey is the key of the attribute by which a suite says how much it has tried,
// such as "146 cases of h2spec".
const casesKey = "cases"

// A test is one test of one package; the zero name stands for the package.
type test struct{ pkg, name string }

// A report prints events as they become interesting and keeps what the summary
// needs.
type report struct {
	out    io.Writer
	output map[test]*strings.Builder // of tests that have not ended
	counts map[string]*counts        // by package
	total  counts
	// suites are "package: test: what was tried", for the summary.
	suites []string
	// skips are "package: test: reason", for the summary.
	skips []string
	// broken names the packages and tests that failed.
	broken []string
}

type counts struct{ passed, skipped, failed int }

func (c counts) ran() int { return c.passed + c.failed }

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[test]*strings.Builder{}, counts: map[string]*counts{}}
}

// read consumes all events. A line that is not JSON is printed as it came: it
// is something the go command had to say.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				fmt.Fprintf(r.out, "%s", line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
	}
}

func (r *report) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = append(r.broken, e.ImportPath+" (build)")
	case "output":
		// Which test runs when is of no interest afterwards.
		if !strings.HasPrefix(e.Output, "=== ") {
			r.keep(t, e.Output)
		}
	case "attr":
		if e.Key == casesKey {
			r.suites = append(r.suites, fmt.Sprintf("%s: %s: %s", e.Package, e.Test, e.Value))
		}
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(t, e.Action)
		}
		delete(r.output, t)
	}
}

func (r *report) keep(t test, output string) {
	b := r.output[t]
	if b == nil {
		b = &strings.Builder{}
		r.output[t] = b
	}
	b.WriteString(output)
}

func (r *report) said(t test) string {
	if b := r.output[t]; b != nil {
		return b.String()
	}
	return ""
}

func (r *report) endTest(t test, action string) {
	c := r.counts[t.pkg]
	if c == nil {
		c = &counts{}
		r.counts[t.pkg] = c
	}
	switch action {
	case "pass":
		c.passed++
	case "skip":
		c.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s: %s: %s", t.pkg, t.name, reason(r.said(t))))
	case "fail":
		c.failed++
		r.broken = append(r.broken, t.pkg+": "+t.name)
		fmt.Fprint(r.out, r.said(t))
	}
}

func (r *report) endPackage(e event) {
	c := r.counts[e.Package]
	if c == nil {
		c = &counts{}
	}
	r.total.passed += c.passed
	r.total.skipped += c.skipped
	r.total.failed += c.failed
	switch {
	case e.Action == "fail":
		// What no test claimed: a panic, a leak, a build failure, a timeout.
		fmt.Fprint(r.out, r.said(test{e.Package, ""}))
		for _, t := range r.unfinished(e.Package) {
			fmt.Fprintf(r.out, "%s", r.said(t))
			r.broken = append(r.broken, e.Package+": "+t.name+" (did not end)")
		}
		if c.failed == 0 {
			r.broken = append(r.broken, e.Package)
		}
		fmt.Fprintf(r.out, "FAIL  %-64s %7.2fs  %d of %d tests failed\n", e.Package, e.Elapsed, c.failed, c.ran())
	case e.Action == "skip" || c.ran()+c.skipped == 0:
		// No test files; nothing to say.
	case c.skipped > 0:
		fmt.Fprintf(r.out, "ok    %-64s %7.2fs  %d tests, %d skipped\n", e.Package, e.Elapsed, c.ran(), c.skipped)
	default:
		fmt.Fprintf(r.out, "ok    %-64s %7.2fs  %d tests\n", e.Package, e.Elapsed, c.ran())
	}
}

// unfinished returns the tests of a package that began and never ended, in
// order of name.
func (r *report) unfinished(pkg string) []test {
	var all []test
	for t := range r.output {
		if t.pkg == pkg && t.name != "" {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return all
}

// finish prints the summary and returns an error if something failed or fewer
// than least tests ran.
func (r *report) finish(least int) error {
	if len(r.suites) > 0 {
		slices.Sort(r.suites)
		fmt.Fprintf(r.out, "\nTried, among others:\n  %s\n", strings.Join(r.suites, "\n  "))
	}
	if len(r.skips) > 0 {
		fmt.Fprintf(r.out, "\nSKIPPED, so not checked here:\n")
		for _, s := range r.skips {
			fmt.Fprintf(r.out, "  %s\n", s)
		}
	}
	fmt.Fprintf(r.out, "\n%d tests passed, %d failed, %d skipped (subtests included)\n", r.total.passed, r.total.failed, r.total.skipped)
	switch {
	case len(r.broken) > 0:
		return fmt.Errorf("failed:\n  %s", strings.Join(r.broken, "\n  "))
	case r.total.ran() < least:
		return fmt.Errorf("only %d tests ran, want at least %d", r.total.ran(), least)
	}
	return nil
}

// A skip's reason is logged as "    file_test.go:12: reason".
var skipReason = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

func reason(output string) string {
	all := skipReason.FindAllStringSubmatch(output, -1)
	if len(all) == 0 || all[len(all)-1][1] == "" {
		return "no reason given"
	}
	return all[len(all)-1][1]
}
