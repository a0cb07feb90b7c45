package tap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
)

// text is a record in one line for people. Nothing in it ends a line or is obeyed by a
// terminal: records are what a pod says they are.
func text(pod string, r *sidecars.Record) string {
	parts := []string{clock(r.Time), pod, direction(r), verdict(r), call(r), "from " + caller(r), to(r)}
	if p := r.Decision.Policy; p != "" && r.Decision.Rule != nil {
		parts = append(parts, fmt.Sprintf("by %s rule %d", p, *r.Decision.Rule))
	}
	if w := r.WAF.Outcome; w != "" && w != "clean" {
		parts = append(parts, "waf "+w)
	}
	if r.Times.Total > 0 {
		parts = append(parts, (time.Duration(r.Times.Total) * time.Microsecond).String())
	}
	if r.Reason != "" && r.DecisionID != "" {
		parts = append(parts, "id "+r.DecisionID)
	}
	return printable(strings.Join(parts, "  "))
}

// clock is the time of day of a record, or what stands there.
func clock(stamp string) string {
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return stamp
	}
	return at.UTC().Format("15:04:05.000")
}

func direction(r *sidecars.Record) string {
	if r.Direction == "outbound" {
		return "out"
	}
	return "in"
}

func verdict(r *sidecars.Record) string {
	word := "allowed"
	if r.Reason != "" {
		word = "refused"
	}
	if r.Status != 0 {
		word += fmt.Sprintf(" %d", r.Status)
	}
	if r.Reason != "" {
		word += " " + r.Reason
	}
	return word
}

func call(r *sidecars.Record) string {
	if r.Kind == "request" {
		return r.Method + " " + r.Path
	}
	return "connection (" + r.Protocol + ")"
}

func caller(r *sidecars.Record) string {
	if r.Source.ID != "" {
		return r.Source.ID
	}
	return r.Security + " " + r.Source.Address
}

func to(r *sidecars.Record) string {
	if r.Destination.Service != "" {
		return "to " + r.Destination.Service
	}
	return "to " + r.Destination.Address
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// object is a record for programs: which pod it is of, and the record as it came.
func object(pod string, record []byte) (string, error) {
	var b bytes.Buffer
	name, err := json.Marshal(pod)
	if err != nil {
		return "", err
	}
	b.WriteString(`{"pod":`)
	b.Write(name)
	b.WriteString(`,"record":`)
	if err := json.Compact(&b, record); err != nil {
		return "", err
	}
	b.WriteByte('}')
	return b.String(), nil
}
