package attack

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// An Outcome is what became of one sample.
type Outcome string

// The outcomes.
const (
	// Passed: the request reached the application, or would have.
	Passed Outcome = "passed"
	// Blocked: the WAF took it for an attack.
	Blocked Outcome = "blocked"
	// Refused: it was no valid HTTP to the Outrider, whose WAF never saw it.
	Refused Outcome = "refused"
	// Uninspected: it was refused because the WAF could not look at it.
	Uninspected Outcome = "uninspected"
	// Unclear: the answer says nothing about the WAF.
	Unclear Outcome = "unclear"
	// Failed: there was no answer.
	Failed Outcome = "failed"
)

// outcomes are all of them, in the order of the report.
func outcomes() []Outcome {
	return []Outcome{Passed, Blocked, Refused, Uninspected, Unclear, Failed}
}

// Rules say what an answer means.
type Rules struct {
	// BlockStatus are the statuses of a WAF that blocks. An Outrider gives its
	// reason, which goes before the status.
	BlockStatus []int
	// UnclearStatus are those that say nothing about the WAF.
	UnclearStatus []int
	// CountRefusals counts what was Refused or Uninspected as stopped: attacks as
	// detected, benign requests as false positives.
	CountRefusals bool
	// DropBlocks takes a connection that ends without an answer for a block.
	DropBlocks bool
	// FromLog judges by what the access log says the WAF found, whether it refused
	// or only would have.
	FromLog bool
}

// DefaultRules are right for most WAFs.
func DefaultRules() Rules {
	return Rules{
		BlockStatus: []int{http.StatusForbidden},
		UnclearStatus: []int{
			http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		},
		CountRefusals: true,
	}
}

func (r *Rules) check() error {
	for _, status := range slices.Concat(r.BlockStatus, r.UnclearStatus) {
		if status < 200 || status > 599 {
			return fmt.Errorf("status %d is none of a final answer", status)
		}
		if slices.Contains(r.BlockStatus, status) && slices.Contains(r.UnclearStatus, status) {
			return fmt.Errorf("status %d cannot both mean that a request was blocked and say nothing", status)
		}
	}
	return nil
}

// judge decides what became of a sample, and says why in a few words.
func (r *Rules) judge(x *exchange) (o Outcome, why string) {
	if r.FromLog {
		if x.record != nil {
			return fromRecord(x.record)
		}
		if x.err == nil && x.answer.Reason == "" {
			return Unclear, "no record in the access log"
		}
	}
	switch f, _ := errors.AsType[*target.Failure](x.err); {
	case r.DropBlocks && f != nil && f.Kind == target.Closed:
		return Blocked, "connection closed"
	case x.err != nil:
		return Failed, x.err.Error()
	case x.answer.Reason != "":
		return fromReason(x.answer.Reason), x.answer.Reason
	case slices.Contains(r.BlockStatus, x.answer.Status):
		return Blocked, ""
	case slices.Contains(r.UnclearStatus, x.answer.Status):
		return Unclear, fmt.Sprintf("status %d", x.answer.Status)
	}
	return Passed, ""
}

// fromReason sorts an Outrider's refusals. Most of them come before inspection or
// after it.
func fromReason(reason string) Outcome {
	switch reason {
	case flow.WAFBlocked.String():
		return Blocked
	case flow.WAFUninspected.String():
		return Uninspected
	case flow.BadRequest.String(), flow.HeadTooLarge.String(), flow.BodyTooLarge.String(), flow.MethodRefused.String(),
		flow.NotHTTP.String():
		return Refused
	}
	return Unclear
}

// fromRecord takes what inspection found for what became of the request. What was
// not inspected and not refused has passed.
func fromRecord(r *evidence.Record) (Outcome, string) {
	if r.WAF != nil {
		switch r.WAF.Outcome {
		case flow.Detected.String(), flow.Blocked.String():
			return Blocked, r.WAF.Outcome
		case flow.Clean.String():
			return Passed, ""
		}
	}
	if r.Reason != "" {
		return fromReason(r.Reason), r.Reason
	}
	return Passed, ""
}

// uninspected is why a request that passed, or part of it, was not inspected;
// empty where it was, or nothing is known.
func uninspected(r *evidence.Record) string {
	switch {
	case r == nil || r.WAF == nil && r.Reason != "":
		return ""
	case r.WAF == nil:
		return "no inspection policy is about it"
	}
	return r.WAF.Uninspected
}

// clear tells whether an outcome says something about the WAF.
func (o Outcome) clear() bool { return o != Unclear && o != Failed }

// stops tells whether an outcome counts as stopped.
func (r *Rules) stops(o Outcome) bool {
	return o == Blocked || r.CountRefusals && (o == Refused || o == Uninspected)
}
