package trial

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Text writes the report for people: what failed, and a summary.
func (r *Report) Text(w io.Writer) error {
	p := printer{w: w}
	for i := range r.Results {
		c := &r.Results[i]
		if !c.Failed {
			continue
		}
		p.printf("FAIL %s\n", c.Case.Name)
		p.printf("     at    %s\n", c.At)
		p.printf("   - want  %s\n", c.Want())
		p.printf("   + got   %s\n", c.Outcome.String())
		if c.Outcome.Why != "" {
			p.printf("     why   %s\n", c.Outcome.Why)
		}
	}
	for _, rule := range r.Idle {
		p.printf("note: no case is decided by %s\n", rule)
	}
	p.printf("%s: %d of %d cases as expected\n", r.Name, len(r.Results)-r.Failures(), len(r.Results))
	return p.err
}

// TAP writes reports in the Test Anything Protocol, version 14
// (testanything.org/tap-version-14-specification.html).
func TAP(w io.Writer, reports []*Report) error {
	p := printer{w: w}
	total := 0
	for _, r := range reports {
		total += len(r.Results)
	}
	p.printf("TAP version 14\n1..%d\n", total)
	n := 0
	for _, r := range reports {
		for i := range r.Results {
			n++
			p.point(n, r.Name, &r.Results[i])
		}
		for _, rule := range r.Idle {
			p.printf("# %s\n", oneLine(r.Name+": no case is decided by "+rule))
		}
	}
	return p.err
}

// point writes one test point. A # would begin a directive, and could pass a
// failure off as something to be done later.
func (p *printer) point(n int, suite string, r *Result) {
	state := "ok"
	if r.Failed {
		state = "not ok"
	}
	name := strings.NewReplacer("\\", "\\\\", "#", "\\#").Replace(oneLine(suite + ": " + r.Case.Name))
	p.printf("%s %d - %s\n", state, n, name)
	if !r.Failed {
		return
	}
	p.printf("  ---\n")
	for _, line := range [][2]string{{"at", r.At}, {"want", r.Want()}, {"got", r.Outcome.String()}, {"why", r.Outcome.Why}} {
		p.printf("  %s: %s\n", line[0], strconv.QuoteToASCII(line[1]))
	}
	p.printf("  ...\n")
}

// oneLine keeps what is foreign from beginning a line of its own.
func oneLine(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }

// The elements of JUnit's XML that every reader knows.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes reports as the XML that CI systems read.
func JUnit(w io.Writer, reports []*Report) error {
	var doc junitSuites
	for _, r := range reports {
		s := junitSuite{Name: r.Name, Tests: len(r.Results), Failures: r.Failures()}
		for i := range r.Results {
			s.Cases = append(s.Cases, junit(r.Name, &r.Results[i]))
		}
		doc.Suites = append(doc.Suites, s)
	}
	p := printer{w: w}
	p.printf("%s", xml.Header)
	if p.err != nil {
		return p.err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	p.printf("\n")
	return p.err
}

func junit(suite string, r *Result) junitCase {
	c := junitCase{Class: suite, Name: r.Case.Name}
	if r.Failed {
		c.Failure = &junitFailure{
			Message: "want " + r.Want() + ", got " + r.Outcome.String(),
			Text:    r.At + ": " + r.Outcome.Why,
		}
	}
	return c
}

// A printer keeps the first error, so that lines need not be checked one by one.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err != nil {
		return
	}
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil {
		p.err = fmt.Errorf("write the report: %w", err)
	}
}
