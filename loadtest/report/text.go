package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is that of a terminal, in characters; what is written keeps to it.
const width = 100

// A printer writes lines of text for people.
type printer struct{ b strings.Builder }

func (p *printer) line(format string, args ...any) {
	p.b.WriteString(strings.TrimRight(clip(fmt.Sprintf(format, args...), width), " ") + "\n")
}

func (p *printer) space() { p.b.WriteByte('\n') }

// entry writes text after a label, in as many lines as it takes, each of them
// beginning where the first does.
func (p *printer) entry(label, text string) {
	indent := utf8.RuneCountInString(label)
	for i, l := range wrap(plain(text), width-indent) {
		if i > 0 {
			label = strings.Repeat(" ", indent)
		}
		p.line("%s%s", label, l)
	}
}

func (p *printer) writeTo(w io.Writer) error {
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// wrap breaks text between words, and a word that is longer than a line.
func wrap(text string, most int) []string {
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n <= most {
			line, used = line+" "+word, used+1+n
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		for ; n > most; n -= most {
			head := string([]rune(word)[:most])
			lines, word = append(lines, head), word[len(head):]
		}
		line, used = word, n
	}
	return append(lines, line)
}

// A grid is rows of cells under a head, each column as wide as its widest cell.
type grid struct {
	columns []column
	rows    [][]string
}

// A column of a grid.
type column struct {
	head string
	// most is how wide it may be, in characters; 0: as it comes.
	most int
	// words begin at its left, figures end at its right.
	words bool
}

func words(head string, most int) column   { return column{head: head, most: most, words: true} }
func figures(head string, most int) column { return column{head: head, most: most} }

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// write prints the grid, or nothing if it has no rows.
func (g *grid) write(p *printer) {
	const indent = "   "
	if len(g.rows) == 0 {
		return
	}
	head := make([]string, len(g.columns))
	for i, c := range g.columns {
		head[i] = c.head
	}
	widths := make([]int, len(g.columns))
	all := append([][]string{head}, g.rows...)
	for _, row := range all {
		for i := range row {
			row[i] = plain(row[i])
			if most := g.columns[i].most; most > 0 {
				row[i] = clip(row[i], most)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range all {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = g.columns[i].cell(cell, widths[i])
		}
		p.line("%s%s", indent, strings.Join(cells, "  "))
	}
}

func (c column) cell(text string, width int) string {
	pad := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if c.words {
		return text + pad
	}
	return pad + text
}
