// Package evidence finds in an Outrider's access log what became of requests that
// were sent: which rules spoke, and in mode Detect, which says nothing to the
// caller, whether the WAF would have refused.
//
// A record is joined to its request by the trace id that the request carried, or
// by the decision id of the refusal. All other records are passed over.
package evidence

import (
	"encoding/json"
	"strings"
)

// A Record is what is taken from one record of the log. The members are explained
// in docs/access-log.md.
type Record struct {
	Decision string `json:"decision_id"`
	Trace    string `json:"trace"`
	// Reason is why the request was refused; empty: it was not.
	Reason string `json:"reason"`
	WAF    *WAF   `json:"waf"`
	Times  struct {
		Inspect int64 `json:"inspect"` // microseconds
	} `json:"t_us"`
}

// WAF is the part about inspection; nil in a record: no policy asked for it.
type WAF struct {
	Outcome     string `json:"outcome"`
	Uninspected string `json:"uninspected"`
	Score       int    `json:"score"`
	Rules       []int  `json:"rules"`
	Message     string `json:"message"`
	Location    string `json:"location"`
}

// A Key is how a request can be found.
type Key struct {
	Trace    string // 32 hexadecimal digits; empty: it carried none
	Decision string // empty: nobody refused it, or it was no Outrider
}

// parse reads a line; ok is false for what is no record.
func parse(line []byte) (r Record, ok bool) {
	return r, json.Unmarshal(line, &r) == nil && r.Decision != ""
}

// traceID is the id within a traceparent, "00-ID-PARENT-FLAGS".
func (r *Record) traceID() string {
	parts := strings.Split(r.Trace, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

// tells ranks records of the same request: where two sidecars write to one log,
// or a request was sent twice, one that was inspected tells more than one that was
// refused, and that more than one that was passed on.
func (r *Record) tells() int {
	switch {
	case r.WAF != nil:
		return 2
	case r.Reason != "":
		return 1
	}
	return 0
}
