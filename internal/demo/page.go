package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// width is what fits on most terminals, in columns.
const width = 100

// A page is what is shown, from top to bottom.
type page struct {
	w     io.Writer
	color bool
	// held tells whether everything in the present step does.
	held bool
}

// The marks of what holds and what does not.
const (
	yes = "✓"
	no  = "✗"
)

// ANSI colours (ECMA-48, SGR).
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	reset = "\x1b[0m"
)

func (p *page) paint(style, text string) string {
	if !p.color {
		return text
	}
	return style + text + reset
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *page) title() {
	p.line("%s", p.paint(bold, "Outrider demo"))
	p.line("")
	p.say("A shop of three services on this machine, each behind its own sidecar, and an intruder who " +
		"has a sidecar too. The services speak plain HTTP with their sidecar and know nothing of " +
		"certificates; between the sidecars everything is mutual TLS.")
	p.line(`
     customer ──▶ storefront ══▶ checkout ══▶ payments        ──▶ plain HTTP
                                                  ▲           ══▶ mutual TLS, sidecar to sidecar
                                     intruder ════╝
`)
}

// begin opens a step.
func (p *page) begin(n int, title string) {
	p.held = true
	p.line("")
	p.line("%s", p.paint(bold, fmt.Sprintf("%d. %s", n, title)))
}

// say prints prose.
func (p *page) say(text string) {
	for _, l := range wrap(text, width-3) {
		p.line("   %s", l)
	}
}

// call prints what is sent, and who sends it.
func (p *page) call(who, method, url string) {
	p.line("")
	p.line("   %s:", who)
	p.line("   → %s %s", method, url)
}

// fields lists names and values; what a value has after a newline is put below.
func (p *page) fields(pairs ...[2]string) {
	const column = 25
	for _, f := range pairs {
		name := f[0]
		for part := range strings.SplitSeq(f[1], "\n") {
			for _, l := range wrap(part, width-5-column) {
				p.line("     %s%s", p.paint(dim, fmt.Sprintf("%-*s", column, name)), l)
				name = ""
			}
		}
	}
}

// holds prints a claim and whether it is true. A claim that is not true fails
// the step.
func (p *page) holds(ok bool, format string, args ...any) {
	mark := p.paint(green, yes)
	if !ok {
		mark, p.held = p.paint(red, no), false
	}
	for i, l := range wrap(fmt.Sprintf(format, args...), width-5) {
		if i > 0 {
			mark = " "
		}
		p.line("   %s %s", mark, l)
	}
}

// expect compares what was seen with what has to be.
func expect[T comparable](p *page, what string, got, want T) {
	if got == want {
		p.holds(true, "%s: %v", what, got)
		return
	}
	p.holds(false, "%s: %v, and should be %v", what, got, want)
}

// summary prints the table and tells whether everything held.
func (p *page) summary(results []result, took time.Duration) bool {
	const row = " %s %2d  %-20s %-27s %s"
	p.line("")
	p.line("%s", p.paint(bold, "Summary"))
	p.line("   %2s  %-20s %-27s %s", "#", "step", "expected", "seen")
	failed := 0
	for i, r := range results {
		mark := p.paint(green, yes)
		if !r.held {
			mark = p.paint(red, no)
			failed++
		}
		p.line(row, mark, i+1, r.step.name, r.step.expected, clip(r.seen, width-56))
	}
	p.line("")
	if failed > 0 {
		p.line("%s in %.1f s. Run it with --keep to look at the logs afterwards.",
			p.paint(red, fmt.Sprintf("%d of %d steps did not hold", failed, len(results))), took.Seconds())
		return false
	}
	p.line("%s in %.1f s.", p.paint(green, fmt.Sprintf("All %d steps held", len(results))), took.Seconds())
	return true
}

// wrap breaks text between words into lines of at most limit characters. A word
// that is longer has a line of its own.
func wrap(text string, limit int) []string {
	var lines []string
	var line strings.Builder
	for word := range strings.FieldsSeq(text) {
		if line.Len() > 0 && utf8.RuneCountInString(line.String())+1+utf8.RuneCountInString(word) > limit {
			lines = append(lines, line.String())
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(word)
	}
	return append(lines, line.String())
}

// clip shortens text to limit characters, on one line.
func clip(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return text
}
