// Package tap shows what sidecars decide, as they do: which of it, in which form, and
// from many pods at a time.
package tap

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
)

// A Filter says which records are shown. What is empty matches everything. In Caller,
// Path, Service and Host a * stands for any text.
type Filter struct {
	// Verdict is Allowed or Refused.
	Verdict Verdict
	// Direction is inbound or outbound.
	Direction string
	// Caller is a SPIFFE ID, or "plaintext".
	Caller string
	Method string
	Path   string
	Host   string
	// Status is that of HTTP, or a class such as 4xx.
	Status string
	// Reason is one of docs/refusals.md.
	Reason string
}

// Verdict is what became of a call.
type Verdict string

// The verdicts.
const (
	// Allowed: it was served, as far as the sidecar is concerned.
	Allowed Verdict = "allowed"
	// Refused: it was refused or cut short, by whatever stage.
	Refused Verdict = "refused"
)

// Plaintext stands for callers without an identity.
const Plaintext = "plaintext"

// statusForm is a status or a class of them.
var statusForm = regexp.MustCompile(`^[1-5]([0-9][0-9]|xx)$`)

// Check says what of the filter can't match anything.
func (f *Filter) Check() error {
	switch {
	case f.Verdict != "" && f.Verdict != Allowed && f.Verdict != Refused:
		return fmt.Errorf("--verdict %q is neither %s nor %s", f.Verdict, Allowed, Refused)
	case f.Direction != "" && f.Direction != "inbound" && f.Direction != "outbound":
		return fmt.Errorf("--direction %q is neither inbound nor outbound", f.Direction)
	case f.Status != "" && !statusForm.MatchString(f.Status):
		return fmt.Errorf("--status %q is neither a status nor a class such as 4xx", f.Status)
	}
	return nil
}

// Match tells whether a record is shown.
func (f *Filter) Match(r *sidecars.Record) bool {
	return f.verdict(r) && f.caller(r) && f.status(r.Status) &&
		is(f.Direction, r.Direction) && is(f.Reason, r.Reason) &&
		is(f.Method, r.Method) && like(f.Path, r.Path) && like(f.Host, r.Host)
}

func (f *Filter) verdict(r *sidecars.Record) bool {
	return f.Verdict == "" || (f.Verdict == Refused) == (r.Reason != "")
}

func (f *Filter) caller(r *sidecars.Record) bool {
	if f.Caller == Plaintext {
		return r.Security == Plaintext && r.Source.ID == ""
	}
	return like(f.Caller, r.Source.ID)
}

func (f *Filter) status(got int) bool {
	if class, ok := strings.CutSuffix(f.Status, "xx"); ok {
		return strconv.Itoa(got/100) == class
	}
	return is(f.Status, strconv.Itoa(got))
}

func is(want, got string) bool { return want == "" || want == got }

// like matches text in which * stands for any text.
func like(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, last)
}
