package authz

import (
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with one policy.
type Problem struct {
	// Index is the position of the policy in what was validated, from 0.
	Index int
	// Document is the policy's "namespace/name", or "#3" for the third when it
	// has no name.
	Document string
	// Field is the path within the document, such as
	// "spec.rules[0].to[0].paths[1]".
	Field string
	// Value is what stands there; empty when something is missing.
	Value string
	// Reason is what is wrong with it, Remedy what to do.
	Reason, Remedy string
	// Code names the kind of a warning; empty for what is no warning.
	Code Code
	// Warning marks what is suspicious but has a meaning: the policy is accepted.
	Warning bool
}

// String is the whole problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Document + ": " + p.Field + ": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Value != "" {
		b.WriteString(strconv.Quote(p.Value) + " ")
	}
	b.WriteString(p.Reason)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	if p.Code != "" {
		b.WriteString(" (" + string(p.Code) + ")")
	}
	return b.String()
}

// Error makes a Problem an error, so that [Compile] can return several.
func (p Problem) Error() string { return p.String() }

// A flaw is what a value by itself has wrong.
type flaw struct {
	reason, remedy string
	// code marks a flaw that leaves the value usable.
	code Code
}

func wrong(reason, remedy string) *flaw { return &flaw{reason: reason, remedy: remedy} }

func suspicious(code Code, reason, remedy string) *flaw {
	return &flaw{reason: reason, remedy: remedy, code: code}
}

// A reporter collects the problems of one policy.
type reporter struct {
	index    int
	document string
	problems []Problem
}

func (r *reporter) report(field, value string, bad *flaw) {
	r.problems = append(r.problems, Problem{
		Index: r.index, Document: r.document, Field: field, Value: value,
		Reason: bad.reason, Remedy: bad.remedy, Code: bad.code, Warning: bad.code != "",
	})
}

// notEmpty refuses a list that is there but empty: whether it matches nothing or
// everything would depend on the reader.
func notEmpty[T any](r *reporter, field string, list []T) {
	if list != nil && len(list) == 0 {
		r.report(field, "", wrong("is an empty list", "remove the field, or name at least one value"))
	}
}

// at is the path of an element.
func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
