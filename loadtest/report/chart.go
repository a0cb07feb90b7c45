package report

import (
	"encoding/json"
	"fmt"

	"github.com/outrider-mesh/outrider/loadtest/report/plot"
)

// A chart is one image of the page, in the coordinates of its SVG: what is to be
// drawn, and nothing of how. The template draws it.
type chart struct {
	// Class is "wide" or "panel".
	Class string
	// Title stands above it; Summary says in words what it shows.
	Title, Summary string
	Width, Height  float64
	Frame          plot.Frame
	X, Y           axis
	Bands          []band
	Rules          []rule
	Curves         []curve
	Marks          []mark
	// Readings are what a pointer at some x reads, as JSON: [[x, text], …]; empty
	// for a chart that needs none.
	Readings string
}

// An axis has marks; its label says what is on it, with the unit.
type axis struct {
	Label string
	Ticks []tick
}

type tick struct {
	At    float64
	Label string
}

// A band is a filled stretch behind the rest.
type band struct {
	X, Y, Width, Height float64
	Class               string
}

// A rule is a straight line, with a label at its right end where there is one.
type rule struct {
	X1, Y1, X2, Y2 float64
	Class, Label   string
	LabelY         float64
}

// A curve belongs to a series, whose class gives it colour and dashes.
type curve struct {
	Path, Class string
	// Label stands at LabelY behind the end of the curve; empty for none.
	Label  string
	LabelY float64
}

// A mark is one small sign, with what it stands for as its title.
type mark struct{ Path, Class, Title string }

// The shapes of marks, from a point: meanings differ in form, not in colour alone.
const (
	circle = "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0"
	cross  = "m-4 -4l8 8m0 -8l-8 8"
	above  = "m0 -1l5 8h-10z"
	below  = "m0 1l5 -8h-10z"
)

func markAt(at plot.Point, shape, class, title string) mark {
	return mark{"M" + plot.Number(at.X) + " " + plot.Number(at.Y) + shape, class, title}
}

// Sizes of charts, in units of their image; on a desktop about a pixel each.
const (
	wideWidth, wideHeight, tallHeight = 560, 240, 440
	panelWidth, panelHeight           = 280, 210
)

// wideChart has room for labels of the y axis at its left, and of curves at its
// right.
func wideChart(title string, height, right float64) chart {
	return chart{
		Class: "wide", Title: title, Width: wideWidth, Height: height,
		Frame: plot.Frame{Left: 70, Top: 12, Right: wideWidth - right, Bottom: height - 44},
	}
}

func panelChart(title string) chart {
	return chart{
		Class: "panel", Title: title, Width: panelWidth, Height: panelHeight,
		Frame: plot.Frame{Left: 66, Top: 12, Right: panelWidth - 8, Bottom: panelHeight - 34},
	}
}

// seriesClass is how the i-th target is drawn: eight differ in colour and in
// dashes, and more than that in one chart nobody can tell apart.
func seriesClass(i int) string { return fmt.Sprintf("s%d", i%seriesClasses) }

const seriesClasses = 8

// point places values on the chart by its two scales.
func (c *chart) point(x, y plot.Scale, vx, vy float64) plot.Point {
	return c.Frame.Point(x.Share(vx), y.Share(vy))
}

// vertical marks an axis with latencies.
func (c *chart) vertical(y plot.Scale, label string, write func(float64) string) {
	c.Y.Label = label
	for _, v := range y.Ticks {
		text := "0"
		if v != 0 {
			text = exact(write(v))
		}
		c.Y.Ticks = append(c.Y.Ticks, tick{c.Frame.Point(0, y.Share(v)).Y, text})
	}
}

func (c *chart) horizontal(x plot.Scale, label string, write func(float64) string) {
	c.X.Label = label
	for _, v := range x.Ticks {
		c.X.Ticks = append(c.X.Ticks, tick{c.Frame.Point(x.Share(v), 0).X, write(v)})
	}
}

// level draws a line across the chart at a value.
func (c *chart) level(y plot.Scale, v float64, class string) *rule {
	at := c.Frame.Point(0, y.Share(v)).Y
	c.Rules = append(c.Rules, rule{X1: c.Frame.Left, Y1: at, X2: c.Frame.Right, Y2: at, Class: class})
	return &c.Rules[len(c.Rules)-1]
}

// note labels the line: above it, or below, where there is room and little else.
func (r *rule) note(label string, above bool, f plot.Frame) {
	const over, under = -5, 14
	r.Label, r.LabelY = label, r.Y1+over
	if room := r.Y1+under < f.Bottom; room && !above || r.LabelY < f.Top+8 {
		r.LabelY = r.Y1 + under
	}
}

// A reading is what stands at one x.
type reading struct {
	x    float64
	text string
}

// MarshalJSON writes a reading as a pair, for there are hundreds of them.
func (r reading) MarshalJSON() ([]byte, error) {
	x, err := json.Marshal(r.text)
	if err != nil {
		return nil, fmt.Errorf("write a reading: %w", err)
	}
	return fmt.Appendf(nil, "[%s,%s]", plot.Number(r.x), x), nil
}

// readings are for the page's script; none if they can't be written.
func readings(all []reading) string {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "" // the chart is complete without them
	}
	return string(text)
}
