package bench

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

// progress tells somebody who waits how far it is: one line that is rewritten
// on a terminal, a line per load elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	// all blocks of the run take length; so many of them belong to trials that
	// are over.
	all, over int
	length    time.Duration
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// expect says what is to come.
func (p *progress) expect(trials ...trial) {
	for _, t := range trials {
		p.all += t.blocks()
		p.length += t.length()
	}
}

// note says what happens between the blocks.
func (p *progress) note(format string, args ...any) {
	p.show(fmt.Sprintf(format, args...))
}

// turn says which block is about to run. What it has measured so far is nobody's
// business.
func (p *progress) turn(t trial, so compare.Progress) {
	if so.Result != nil {
		return
	}
	done := p.over + so.Done
	if !p.terminal && so.Done == 0 {
		fmt.Fprintf(p.w, "%d of %d blocks done; next: %s\n", done, p.all, t.Load)
	}
	left := (p.length - time.Duration(so.Done)*(t.warmup+t.block)).Round(time.Second)
	p.show(fmt.Sprintf("%3d/%d, %s left: %s, %s", done+1, p.all, left, t.Load, so.Target))
}

// done takes note of the end of a trial, and says what went wrong in it.
func (p *progress) done(t trial, samples []report.Sample) {
	p.over += t.blocks()
	p.length -= t.length()
	p.end()
	for _, s := range samples {
		if s.Errors > 0 {
			fmt.Fprintf(p.w, "%s: %d errors, the first: %s\n", s.Peer, s.Errors, s.FirstError)
		}
	}
}

func (p *progress) show(line string) {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	}
}

// end leaves the line to whatever is written next.
func (p *progress) end() { p.show("") }
