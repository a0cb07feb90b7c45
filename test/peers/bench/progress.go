package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/outrider-mesh/outrider/test/peers/report"
)

// ringSize is the size of HAProxy's log ring, in bytes; see its template.
const ringSize = 1 << 20

func processors() int { return runtime.NumCPU() }

// progress tells somebody who waits how far it is: one line that is rewritten
// on a terminal, a line per load elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time
	line     string
	load     report.Load
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// note says what happens before the first block.
func (p *progress) note(format string, args ...any) {
	p.show(fmt.Sprintf(format, args...))
}

// block says which block is about to run.
func (p *progress) block(i, of int, b block) {
	if i == 0 {
		p.begin = time.Now()
	}
	if !p.terminal && (i == 0 || b.Load != p.load) {
		fmt.Fprintf(p.w, "%d of %d blocks done; next: %d connections, %d bytes\n", i, of, b.Connections, b.Size)
	}
	p.load = b.Load
	left := "?"
	if i > 0 {
		left = (time.Since(p.begin) / time.Duration(i) * time.Duration(of-i)).Round(time.Second).String()
	}
	p.line = fmt.Sprintf("%3d/%d, %s left: %d connections, %d bytes, round %d, %s", i+1, of, left,
		b.Connections, b.Size, b.round+1, b.peer)
	p.show(p.line)
}

// sample adds what the block showed.
func (p *progress) sample(s report.Sample) {
	if s.Errors > 0 {
		p.end()
		fmt.Fprintf(p.w, "%s: %d errors, the first: %s\n", s.Peer, s.Errors, s.FirstError)
		return
	}
	p.show(fmt.Sprintf("%s: %.1f µs", p.line, s.CPUMicros))
}

func (p *progress) show(line string) {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	}
}

// end leaves the line to whatever is written next.
func (p *progress) end() { p.show("") }
