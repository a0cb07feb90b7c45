// Package corpus reads labelled requests to replay: as directories of raw HTTP
// requests in the form of blazehttp, and as files of JSON lines.
//
// Reading is strict. What can't be read is a [Problem] with its file, its line and
// its reason, next to the samples that could be: nothing is left out silently, for
// a sample that is not sent looks like one that was stopped.
package corpus

import "fmt"

// A Label says what a sample is.
type Label string

// The labels.
const (
	Attack Label = "attack" // to be stopped
	Benign Label = "benign" // to be let through
)

// A Sample is one labelled request. Method and Target have been checked to be
// writable in a request line, but for bytes that must be escaped.
type Sample struct {
	// ID is unique in its corpus: the path below the directory that was named, or
	// what a JSON line says.
	ID    string
	Label Label
	// Source is where it was read: a file, and its line where it holds several.
	Source string
	// Directory is the first one below the directory that was named; empty where
	// there is none.
	Directory string
	Tags      []string

	Method, Target string
	Header         []Field
	Body           []byte
}

// A Field is one header field, as it was written, without the space around its
// value.
type Field struct{ Name, Value string }

// A Corpus is all that was found.
type Corpus struct {
	// Samples are in the order of their files' paths, and of their lines.
	Samples []Sample
	// Unreadable are samples that could not be read.
	Unreadable []Problem
	// Ignored are files that are no samples, by their names, and hidden
	// directories, which are not looked into.
	Ignored []string
}

// A Problem is why a sample could not be read.
type Problem struct {
	// Source is a file, and a line where it is known.
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// String is for people.
func (p Problem) String() string { return p.Source + ": " + p.Reason }

// Count is how many samples have a label.
func (c *Corpus) Count(l Label) int {
	n := 0
	for i := range c.Samples {
		if c.Samples[i].Label == l {
			n++
		}
	}
	return n
}

func (c *Corpus) refuse(source, format string, args ...any) {
	c.Unreadable = append(c.Unreadable, Problem{Source: source, Reason: fmt.Sprintf(format, args...)})
}
