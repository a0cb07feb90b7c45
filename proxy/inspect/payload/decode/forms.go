// Package decode undoes the encodings that a value may be wrapped in before an
// application reads it: percent and Unicode escapes, entities of HTML, Base64, escapes
// of JavaScript, and texts that are put together from parts.
//
// Nobody knows which of them the application undoes, nor in which order, so every
// order is tried, and each result is a [Form] that knows the steps which lead to it.
// What bounds this: no step makes a text longer, there are at most [MaxDepth] steps in
// a row and [MaxForms] forms, of which no two are equal.
package decode

import (
	"slices"
	"strings"
)

// Bounds of what is made of one value.
const (
	// MaxDepth is how many steps are taken in a row. Two of percent and two of Base64
	// are seen in attacks; who needs more than four reaches no application.
	MaxDepth = 4
	// MaxForms is how many forms there are, the value itself included.
	MaxForms = 10
)

// A Step is one encoding undone.
type Step uint8

// The steps.
const (
	Percent Step = iota + 1 // %3c, %u003c; + for a space
	Entity                  // &lt; &#60;
	Base64                  // of a text
	Escape                  // \x3c \u003c \74
	Join                    // 'a'+'b'
	Strip                   // un<>ion, un/**/ion: what a filter takes out
)

var stepNames = [...]string{"", "percent", "entity", "base64", "escape", "join", "strip"}

// String is the name of a step, as events have it.
func (s Step) String() string { return stepNames[s] }

// Path are the steps that lead to a form, outermost first. The zero value is the
// value as it came.
type Path [MaxDepth]Step

// String joins the steps: "percent,base64"; empty for the value itself.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		if s == 0 {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// then is the path with one step more; ok is false if it has no place.
func (p Path) then(s Step) (_ Path, ok bool) {
	for i := range p {
		if p[i] == 0 {
			p[i] = s
			return p, true
		}
	}
	return p, false
}

// A Form is a value with some encodings undone.
type Form struct {
	Text string
	Path Path
}

// Forms appends all forms of a value, the value itself first.
func Forms(into []Form, s string) []Form {
	f := former{forms: append(into[:0], Form{Text: s})}
	for i := 0; i < len(f.forms); i++ {
		f.expand(f.forms[i])
	}
	return f.forms
}

type former struct{ forms []Form }

// expand adds what one step makes of a form.
func (f *former) expand(from Form) {
	for step := Percent; step <= Strip; step++ {
		path, ok := from.Path.then(step)
		if !ok {
			return
		}
		if step == Base64 {
			f.base64(from.Text, path)
			continue
		}
		if text, changed := apply(step, from.Text); changed {
			f.add(text, path)
		}
	}
}

func apply(step Step, s string) (string, bool) {
	switch step {
	case Percent:
		return percent(s)
	case Entity:
		return entities(s)
	case Escape:
		return escapes(s)
	case Join:
		return join(s)
	case Strip:
		return strip(s)
	case Base64:
	}
	return s, false
}

func (f *former) add(text string, path Path) {
	if len(f.forms) >= MaxForms || text == "" {
		return
	}
	if slices.ContainsFunc(f.forms, func(have Form) bool { return have.Text == text }) {
		return
	}
	f.forms = append(f.forms, Form{Text: text, Path: path})
}
