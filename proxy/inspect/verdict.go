package inspect

import (
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// A finding is what an engine says about one request.
type finding struct {
	// attack tells that a rule ended the transaction, whatever its action.
	attack bool
	// firstArguments tells that there were more than are kept, and arguments that
	// the inspection ended for that.
	firstArguments, arguments bool
	score                     int
	rules                     []int
	message, location         string
	matches                   []flow.Match
	// refused tells that a rule ended it by itself, not by the score, and hits are
	// the rules that added to that: what a profile of ours judges by.
	refused bool
	hits    []evidence.Hit
}

// verdict is the outcome of an inspection that took place.
func (r rule) verdict(f finding, in input) flow.Inspection {
	v := flow.Inspection{
		Uninspected: in.reason,
		Policy:      r.policy.name,
		Score:       f.score,
		Rules:       f.rules,
		Message:     f.message,
		Location:    f.location,
		Matches:     f.matches,
		Bytes:       int64(len(in.body)),
	}
	if f.firstArguments && v.Uninspected == flow.Inspected {
		v.Uninspected = flow.Arguments
	}
	switch {
	case f.arguments:
		v.Outcome, v.Uninspected, v.Refuse = flow.NotInspected, flow.Arguments, r.block
	case f.attack && r.block:
		v.Outcome, v.Refuse = flow.Blocked, true
	case f.attack:
		v.Outcome = flow.Detected
	case in.headOnly:
		v.Outcome = flow.NotInspected
	default:
		v.Outcome = flow.Clean
	}
	return v
}

// failure is the outcome of an inspection that did not take place.
func (r rule) failure(reason flow.Uninspected, err error) flow.Inspection {
	v := flow.Inspection{Outcome: flow.NotInspected, Uninspected: reason, Refuse: true}
	if reason == flow.EngineError {
		v.Err = err
	}
	if r.policy != nil {
		v.Policy = r.policy.name
		v.Refuse = r.block && r.policy.denies(reason)
	}
	return v
}
