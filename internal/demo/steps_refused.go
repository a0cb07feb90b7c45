package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// buy is a customer who buys something. The trace id is the call's own.
func (s *scene) buy(ctx context.Context, item string) (got *reply, trace string, err error) {
	trace = traceID()
	got, err = call(ctx, s.client, request{
		method: http.MethodGet, url: s.shop() + "?item=" + url.QueryEscape(item),
		header: http.Header{"Traceparent": {"00-" + trace + "-" + trace[:16] + "-00"}},
	})
	return got, trace, err
}

// traceID is one of W3C Trace Context: not zero, but for a chance of 2^-128.
func traceID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails, see its documentation
	return hex.EncodeToString(id[:])
}

func (s *scene) returned(r *reply) {
	s.line("   ← %d %s", r.status, http.StatusText(r.status))
}

func plaintextStep() step {
	return step{
		title: "A plaintext call to payments is refused", name: "plaintext call",
		expected: "403 plaintext_refused",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say("Somebody without a sidecar, and so without an identity, tries the port on which payments takes " +
				"calls from the mesh.")
			target := "http://" + s.payments.inbound() + "/v1/charges"
			before := s.payments.app.served.Load()
			s.call("Somebody, in plain HTTP", http.MethodPost, target)
			got, err := call(ctx, s.client, request{method: http.MethodPost, url: target})
			if err != nil {
				return "", err
			}
			r, err := s.refusal(ctx, got)
			if err != nil {
				return "", err
			}
			s.fields([2]string{"reason", r.Reason}, [2]string{"detail", r.Detail})
			expect(s.page, "reason", r.Reason, "plaintext_refused")
			s.untouched(before)
			return fmt.Sprintf("%d %s", got.status, r.Reason), nil
		},
	}
}

// refusal shows an answer of payments' sidecar, and returns its record.
func (s *scene) refusal(ctx context.Context, got *reply) (*record, error) {
	s.returned(got)
	s.say("  " + got.text())
	expect(s.page, "status", got.status, http.StatusForbidden)
	r, err := s.record(ctx, s.payments, got.decision())
	if err != nil {
		return nil, err
	}
	s.line("")
	s.line("   The record of that decision, in the access log of payments' sidecar:")
	s.fields([2]string{"decision_id", r.DecisionID})
	return r, nil
}

// untouched checks that payments' application was not called.
func (s *scene) untouched(before int64) {
	after := s.payments.app.served.Load()
	s.holds(after == before, "the application of payments received nothing")
}

func intruderStep() step {
	return step{
		title: "An identity that no policy lists is refused", name: "unlisted identity",
		expected: "403, the rule named",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say("The intruder's certificate is as valid as any other: it is trusted to say who it is, and gets " +
				"no further. Claiming in a header to be checkout changes nothing.")
			target := "http://" + s.intruder.outbound() + "/v1/charges"
			before := s.payments.app.served.Load()
			s.call("The intruder, through its own sidecar", http.MethodPost, target)
			got, err := s.intrude(ctx)
			if err != nil {
				return "", err
			}
			r, err := s.refusal(ctx, got)
			if err != nil {
				return "", err
			}
			s.fields(
				[2]string{"source.id", r.Source.ID}, [2]string{"reason", r.Reason},
				[2]string{"decision", r.decision()}, [2]string{"detail", r.Detail},
			)
			expect(s.page, "reason", r.Reason, "access_denied")
			expect(s.page, "caller", r.Source.ID, s.intruder.id.String())
			s.holds(strings.Contains(r.Detail, paymentsCallers+" rule 0"), "the log names the rule that came nearest, %s", paymentsCallers+" rule 0")
			s.holds(got.header.Get(decisionHeader) == r.DecisionID && !strings.Contains(got.text(), paymentsCallers),
				"the caller is told the decision id and nothing of the policy")
			s.untouched(before)
			return fmt.Sprintf("%d, %s", got.status, named(r.Detail, paymentsCallers+" rule 0")), nil
		},
	}
}

// named returns name if the text has it.
func named(text, name string) string {
	if strings.Contains(text, name) {
		return name
	}
	return "no rule named"
}

// intrude calls payments with the intruder's identity.
func (s *scene) intrude(ctx context.Context) (*reply, error) {
	return call(ctx, s.client, request{
		method: http.MethodPost, url: "http://" + s.intruder.outbound() + "/v1/charges",
		header: http.Header{"X-Outrider-Peer": {s.checkout.id.String()}},
	})
}

// What customers type: something with an apostrophe, and an attack.
const (
	harmless = "O'Neill teapot"
	attack   = "1' OR '1'='1' UNION SELECT card FROM customers--"
)

func injectionStep() step {
	return step{
		title: "An SQL injection is blocked", name: "SQL injection",
		expected: "403, the CRS rules named",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say("Now the call comes from whom it should: a customer's input travels through storefront and " +
				"checkout, which are both allowed. payments' sidecar inspects it with the OWASP Core Rule Set.")
			fine, _, err := s.buy(ctx, harmless)
			if err != nil {
				return "", err
			}
			before := s.payments.app.served.Load()
			s.call("A customer, at the storefront's application", http.MethodGet, s.shop()+"?item="+attack)
			got, _, err := s.buy(ctx, attack)
			if err != nil {
				return "", err
			}
			r, err := s.refusal(ctx, got)
			if err != nil {
				return "", err
			}
			s.fields(
				[2]string{"reason", r.Reason}, [2]string{"decision", r.decision()},
				[2]string{"waf.policy", r.WAF.Policy}, [2]string{"waf.rules", r.rules()},
				[2]string{"waf.message", r.WAF.Message}, [2]string{"waf.location", r.WAF.Location},
			)
			s.judgeInjection(r)
			expect(s.page, "an apostrophe that means no harm, "+harmless, fine.status, http.StatusOK)
			s.untouched(before)
			return fmt.Sprintf("%d, rules %s", got.status, r.rules()), nil
		},
	}
}

func (s *scene) judgeInjection(r *record) {
	expect(s.page, "reason", r.Reason, "waf_blocked")
	expect(s.page, "inspected for", r.WAF.Policy, paymentsWAF)
	sql := false
	for _, id := range r.WAF.Rules {
		sql = sql || id/1000 == 942 // the rules of the set about SQL injection
	}
	s.holds(sql && strings.Contains(r.WAF.Message, "SQL"), "the log names the rules about SQL injection (942…) and what the first says")
	s.holds(r.Decision.Verdict == "allow", "the access policy had allowed the call")
}
