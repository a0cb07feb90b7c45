package strict

import (
	"strconv"
	"strings"
)

// Severity tells a mistake from advice.
type Severity uint8

// The severities.
const (
	// Error: the document is not accepted. It is the zero value, so a problem
	// nobody classified is never overlooked.
	Error Severity = iota
	// Warning: the document is accepted; somebody should look at it.
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// A Problem is one thing that is wrong, or questionable, in one document.
type Problem struct {
	Severity Severity
	// File is the name under which the text was given.
	File string
	// Line counts from 1; 0 when the problem belongs to no line.
	Line int
	// Object is the kind and the name of the document, such as
	// "AccessPolicy shop/payments"; empty when it has none.
	Object string
	// Field is the path to the value, such as "spec.inbound[1].listen"; empty
	// when the problem concerns the whole document.
	Field string
	// Message says what is wrong, foreign values quoted.
	Message string
	// Remedy says what to write instead; empty when the message says it.
	Remedy string
	// Code is the stable name of the kind of problem, such as "OUT104"; empty for
	// most.
	Code string
}

// String puts the problem on one line: place, object, field, message, remedy,
// code.
func (p Problem) String() string {
	var parts []string
	if place := p.place(); place != "" {
		parts = append(parts, place)
	}
	for _, s := range []string{p.Object, p.Field, p.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	text := strings.Join(parts, ": ")
	if p.Severity == Warning {
		text = "warning: " + text
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	return text
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}
