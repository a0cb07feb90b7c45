package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A record is what the demo reads of an access log record; docs/access-log.md
// has all of it.
type record struct {
	Kind       string `json:"kind"`
	DecisionID string `json:"decision_id"`
	Connection uint64 `json:"connection"`
	Direction  string `json:"direction"`
	Source     struct {
		ID string `json:"id"`
	} `json:"source"`
	Destination struct {
		ID string `json:"id"`
	} `json:"destination"`
	Method   string `json:"method"`
	Path     string `json:"path"`
	Security string `json:"security"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	Trace    string `json:"trace"`
	Decision struct {
		Verdict string `json:"verdict"`
		Basis   string `json:"basis"`
		Policy  string `json:"policy"`
		Rule    int    `json:"rule"`
	} `json:"decision"`
	WAF struct {
		Outcome  string `json:"outcome"`
		Policy   string `json:"policy"`
		Score    int    `json:"score"`
		Rules    []int  `json:"rules"`
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"waf"`
}

// decision is the verdict and what it rests on, in a few words.
func (r *record) decision() string {
	if r.Decision.Policy == "" {
		return r.Decision.Verdict + ", " + r.Decision.Basis
	}
	return fmt.Sprintf("%s, %s rule %d", r.Decision.Verdict, r.Decision.Policy, r.Decision.Rule)
}

// rules are the WAF rules that matched.
func (r *record) rules() string {
	text := make([]string, len(r.WAF.Rules))
	for i, id := range r.WAF.Rules {
		text[i] = strconv.Itoa(id)
	}
	return strings.Join(text, ", ")
}

// record waits until the workload's access log has the record of a decision.
func (s *scene) record(ctx context.Context, w *workload, decisionID string) (*record, error) {
	if decisionID == "" {
		return nil, fmt.Errorf("the answer names no record in the access log of %s", w.name)
	}
	return s.find(ctx, w, decisionID, func(r *record) bool { return r.DecisionID == decisionID })
}

// find waits until the workload's access log has a record that has the text key
// somewhere and matches. The log is written a moment after the answer.
func (s *scene) find(ctx context.Context, w *workload, key string, match func(*record) bool) (*record, error) {
	var found *record
	err := s.await(ctx, "a record of "+key+" in the access log of "+w.name, func() (bool, error) {
		text, err := os.ReadFile(w.path(accessFile))
		if err != nil {
			return false, err
		}
		found, err = search(text, key, match)
		return found != nil, err
	})
	return found, err
}

func search(text []byte, key string, match func(*record) bool) (*record, error) {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) || !bytes.Contains(line, []byte(key)) {
			continue // being written, or of no interest
		}
		r := new(record)
		if err := json.Unmarshal(line, r); err != nil {
			return nil, fmt.Errorf("an access log record: %w", err)
		}
		if match(r) {
			return r, nil
		}
	}
	return nil, nil //nolint:nilnil // not there yet is no error
}

// errNever is what a condition that does not come true ends with.
var errNever = errors.New("never came true")

// await returns when the condition holds; its own error, the end of ctx, and
// the plan's patience end the wait.
func (s *scene) await(ctx context.Context, what string, holds func() (bool, error)) error {
	return awaitFor(ctx, s.plan.patience, what, holds)
}

func awaitFor(ctx context.Context, patience time.Duration, what string, holds func() (bool, error)) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return fmt.Errorf("%w within %s: %s", errNever, patience, what)
		}
	}
}

// pollInterval is short beside what people notice.
const pollInterval = 10 * time.Millisecond
