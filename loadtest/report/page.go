package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/report/plot"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// maxCarried bounds the JSON that a page carries along, in bytes: the report of
// an hour; a larger one would make the page slow to open.
const maxCarried = 4 << 20

// WritePage writes the document as one HTML file, which needs nothing but a
// browser: its style, script and images are in it, and its content security policy
// forbids to load anything else. Without the script only the reading of values
// under a pointer is missing.
func (d *Document) WritePage(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"n": plot.Number, "minus": minus, "add": func(a, b float64) float64 { return a + b },
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	var b bytes.Buffer // so that a failure leaves no half a page
	if err := t.Execute(&b, d.page()); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if _, err := b.WriteTo(w); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// minus is the sign of typographers, as wide as the plus.
func minus(text string) string {
	text = strings.ReplaceAll(text, " -", " −")
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		return "−" + rest
	}
	return text
}

// page is what the template shows.
type page struct {
	CSS    template.CSS
	JS     template.JS
	Policy string
	// JSON is the document as a data URL; empty if it is too large.
	JSON     template.URL
	JSONSize string

	Doc       *Document
	Title     string
	Verdict   badge
	Reasons   []reason
	Facts     []fact
	Scenarios []scenarioView
}

// A fact is one line of what was measured where.
type fact struct{ Name, Value string }

// A badge is a verdict with a sign of its own, so that no meaning hangs on colour.
type badge struct{ Class, Sign, Text string }

func badgeOf(v budget.Verdict) badge {
	switch v {
	case budget.Holds:
		return badge{"holds", "✓", "holds"}
	case budget.Exceeded:
		return badge{"exceeded", "✕", "exceeded"}
	case budget.Undecided:
		return badge{"undecided", "?", "undecided"}
	}
	return badge{Class: "none", Text: absent}
}

func (d *Document) page() *page {
	p := &page{
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Policy: policy(), //nolint:gosec // our own files, embedded
		Doc: d, Verdict: badgeOf(d.Verdict), Reasons: d.reasons(), Facts: d.facts(),
		Title: "Load report, " + d.Date.Format("2 January 2006 15:04 MST"),
	}
	p.JSON, p.JSONSize = d.carried()
	for i, s := range d.Scenarios {
		p.Scenarios = append(p.Scenarios, s.view(i))
	}
	return p
}

// carried is the document as a data URL, or empty if it is too large or can't be
// written; that is no reason to show nothing.
func (d *Document) carried() (_ template.URL, size string) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", ""
	}
	size = octets(float64(len(text)))
	if len(text) > maxCarried {
		return "", size
	}
	// Base64 of our own making can't end the attribute or change its scheme.
	return template.URL("data:application/json;base64," + base64.StdEncoding.EncodeToString(text)), size //nolint:gosec // see above
}

// policy allows the page's own style and script, by their hashes, and the empty
// icon that keeps a browser from asking for one.
func policy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " +
		hash(pageCSS) + "; script-src " + hash(pageJS)
}

func (d *Document) facts() []fact {
	m := d.Machine
	all := []fact{
		{"Date", d.Date.Format(dateLayout)},
		{"Tool", d.Tool},
		{"Command", strings.Join(d.Command, " ")},
		{"Processor", m.CPUModel + ", " + plural(m.CPUs, "CPU")},
	}
	if m.MemoryBytes > 0 {
		all = append(all, fact{"Memory", octets(float64(m.MemoryBytes))})
	}
	for _, f := range []fact{
		{"System", strings.TrimSpace(m.Kernel + " " + m.Arch)},
		{"Go", m.Go},
		{"Load average", m.LoadAverage},
	} {
		if f.Value != "" {
			all = append(all, f)
		}
	}
	return all
}
