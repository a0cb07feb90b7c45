package main

import (
	"fmt"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/compare"
)

// progress tells somebody who waits how far it is: one line that is rewritten on a
// terminal, a line for every tenth of the way elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	scenario string
	tenth    int
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: cli.Terminal(w)} }

// begin names what is measured from now on.
func (p *progress) begin(scenario string) { p.scenario, p.tenth = scenario, -1 }

// show is a compare.Plan's Progress.
func (p *progress) show(s compare.Progress) {
	if !p.terminal {
		if tenth := 10 * s.Done / s.All; tenth > p.tenth {
			p.tenth = tenth
			fmt.Fprintf(p.w, "%s: %d of %d turns done, %s left\n", p.scenario, s.Done, s.All, s.Left.Round(time.Second))
		}
		return
	}
	// A line that is longer than the terminal is cut there, not wrapped (DECAWM):
	// only one line can be rewritten.
	fmt.Fprint(p.w, "\r\x1b[K\x1b[?7l")
	defer fmt.Fprint(p.w, "\x1b[?7h")
	fmt.Fprintf(p.w, "%s: turn %d of %d, %s left, %s", p.scenario, s.Done+1, s.All, s.Left.Round(time.Second), s.Target)
	if r := s.Result; r != nil {
		fmt.Fprintf(p.w, ": %d requests, %d failed, p50 %s, p99 %s", r.Succeeded(), r.Failed(),
			short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.99)))
	}
}

// end leaves the line to whatever is written next.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// short is a latency in three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
