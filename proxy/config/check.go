package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A checker collects what is wrong with one document.
type checker struct {
	doc      *strict.Document
	problems []Problem
}

func (c *checker) bad(field, message, remedy string) {
	c.problems = append(c.problems, c.doc.Problem(field, message, remedy))
}

func (c *checker) warn(field, message, remedy string) {
	p := c.doc.Problem(field, message, remedy)
	p.Severity = Warning
	c.problems = append(c.problems, p)
}

// required reports an empty value and returns whether there is one.
func (c *checker) required(field, value, remedy string) bool {
	if strings.TrimSpace(value) == "" {
		c.bad(field, "is missing or empty", remedy)
		return false
	}
	return true
}

// Names are those of RFC 1123 as Kubernetes restricts them, so that a file
// from a VM can become a custom resource.
var (
	label     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const nameRemedy = "use lower-case letters, digits and '-', beginning and ending with a letter or digit"

// label checks a name of at most 63 bytes.
func (c *checker) label(field, value string) bool {
	if !c.required(field, value, nameRemedy) {
		return false
	}
	if !label.MatchString(value) {
		c.bad(field, fmt.Sprintf("%q is not a valid name of at most 63 characters", clipped(value)), nameRemedy)
		return false
	}
	return true
}

func (c *checker) metadata(m Metadata) {
	if c.required("metadata.name", m.Name, "name the object") && (len(m.Name) > 253 || !subdomain.MatchString(m.Name)) {
		c.bad("metadata.name", fmt.Sprintf("%q is not a valid name of at most 253 characters", clipped(m.Name)), nameRemedy)
	}
	if m.Namespace != "" {
		c.label("metadata.namespace", m.Namespace)
	}
	if _, ok := m.Labels[""]; ok {
		c.bad(strict.Key("metadata.labels", ""), "a label has no name", "name it or remove it")
	}
}

// nonNegative checks every number of a struct, durations included.
func (c *checker) nonNegative(field string, s any) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Field(i); f.CanInt() && f.Int() < 0 {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			c.bad(strict.Key(field, name), fmt.Sprintf("%v is negative", f.Interface()), "remove it for the default")
		}
	}
}

// clipped shortens foreign text so that a message stays readable.
func clipped(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}
