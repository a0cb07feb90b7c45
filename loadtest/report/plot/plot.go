// Package plot is the geometry of charts: scales with round ticks, and paths in
// the coordinates of an SVG image. Pure functions over numbers; what they are
// drawn with, and in which colours, is somebody else's.
package plot

import (
	"math"
	"strconv"
)

// A Frame is the inside of a chart's axes, in the units of its image, y downwards.
type Frame struct {
	Left, Top, Right, Bottom float64
}

// Point places a share of each scale: (0, 0) is bottom left, (1, 1) top right.
func (f Frame) Point(x, y float64) Point {
	return Point{f.Left + x*(f.Right-f.Left), f.Bottom - y*(f.Bottom-f.Top)}
}

// A Point is a place in an image. One that is not a number is a gap in a path.
type Point struct{ X, Y float64 }

// Gap is where a path is interrupted.
func Gap() Point { return Point{math.NaN(), math.NaN()} }

func (p Point) drawn() bool { return finite(p.X) && finite(p.Y) }

// Path is the d attribute of a line through points. A point between two gaps
// becomes a line of no length, which round caps make a dot.
func Path(points []Point) string {
	var b []byte
	open, alone := false, false
	for _, p := range points {
		if !p.drawn() {
			b, open = closed(b, alone), false
			alone = false
			continue
		}
		command := byte('L')
		if !open {
			command = 'M'
		}
		b = appendPoint(append(b, command), p)
		open, alone = true, !open
	}
	return string(closed(b, alone))
}

func closed(b []byte, alone bool) []byte {
	if alone {
		return append(b, "h0"...)
	}
	return b
}

func appendPoint(b []byte, p Point) []byte {
	b = append(b, Number(p.X)...)
	b = append(b, ' ')
	return append(b, Number(p.Y)...)
}

// Number writes a coordinate: to a tenth of a unit, which is finer than what
// anybody sees.
func Number(v float64) string {
	if !finite(v) {
		return "0"
	}
	v = math.Round(v*10) / 10
	if v == 0 {
		return "0" // not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
