package report

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// A sheet is one table, whatever it is written as.
type sheet struct {
	title  string
	header []string
	rows   [][]string
	// notes are said below it, a line each.
	notes []string
}

// add appends a row.
func (s *sheet) add(cells ...string) { s.rows = append(s.rows, cells) }

// note appends a note.
func (s *sheet) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// busy notes that somebody else took too much of the processors.
func (s *sheet) busy(others float64) {
	if others >= noisy {
		s.note("! other programs or the hypervisor took %s of the processors", percent(others))
	}
}

// text writes it for a terminal.
func (s *sheet) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", s.title)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{s.header}, s.rows...) {
		fmt.Fprintf(t, "  %s\t\n", strings.Join(row, "\t"))
	}
	t.Flush() // writes to a strings.Builder, which cannot fail
	for _, note := range s.notes {
		fmt.Fprintf(b, "  %s\n", note)
	}
	b.WriteByte('\n')
}

// markdown writes it for a page. The first so many columns are words, which
// stand on the left; the others numbers.
func (s *sheet) markdown(b *strings.Builder, words int) {
	fmt.Fprintf(b, "%s:\n\n", escape(s.title))
	line := func(cells []string) {
		for _, cell := range cells {
			fmt.Fprintf(b, "| %s ", escape(cell))
		}
		b.WriteString("|\n")
	}
	line(s.header)
	for i := range s.header {
		if i < words {
			b.WriteString("|---")
		} else {
			b.WriteString("|--:")
		}
	}
	b.WriteString("|\n")
	for _, row := range s.rows {
		line(row)
	}
	b.WriteByte('\n')
	for _, note := range s.notes {
		fmt.Fprintf(b, "- %s\n", escape(note))
	}
	if len(s.notes) > 0 {
		b.WriteByte('\n')
	}
}

// escape keeps what a program said from becoming part of the page's form.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ", "\r", " ").Replace(text)
}
