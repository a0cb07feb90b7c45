package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

func allowedStep() step {
	return step{
		title: "A call goes from storefront to checkout to payments", name: "allowed call",
		expected: "200, two verified hops",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say("Each sidecar proves a SPIFFE ID to the next one. The application behind is told in a header " +
				"who calls, and the access log says which rule let the call in.")
			s.call("A customer, at the storefront's application", http.MethodGet, s.shop()+"?item=teapot")
			got, trace, err := s.buy(ctx, "teapot")
			if err != nil {
				return "", err
			}
			s.returned(got)
			expect(s.page, "status", got.status, http.StatusOK)
			if got.status != http.StatusOK {
				return got.text(), nil
			}
			order := new(answer)
			if err := json.Unmarshal(got.body, order); err != nil {
				return "", fmt.Errorf("the storefront's answer: %w", err)
			}
			seen := []string{}
			for _, h := range []hop{
				{s.storefront, s.checkout, checkoutCallers, order.Next},
				{s.checkout, s.payments, paymentsCallers, nextOf(order.Next)},
			} {
				if err := s.showHop(ctx, h, trace); err != nil {
					return "", err
				}
				seen = append(seen, h.from.name)
			}
			return fmt.Sprintf("%d, callers %s", got.status, strings.Join(seen, ", ")), nil
		},
	}
}

func nextOf(a *answer) *answer {
	if a == nil {
		return nil
	}
	return a.Next
}

// A hop is a call from one sidecar to another.
type hop struct {
	from, to *workload
	policy   string  // that must have allowed it
	told     *answer // of the application behind to
}

// showHop checks what the called application was told and what its sidecar wrote
// down.
func (s *scene) showHop(ctx context.Context, h hop, trace string) error {
	told := h.told
	if told == nil {
		return fmt.Errorf("the application of %s did not answer", h.to.name)
	}
	r, err := s.find(ctx, h.to, trace, func(r *record) bool { return r.Direction == "inbound" })
	if err != nil {
		return err
	}
	s.line("")
	s.line("   %s ══▶ %s, %s", h.from.name, h.to.name, told.Did)
	s.fields(
		[2]string{"x-outrider-peer", told.Caller},
		[2]string{"x-forwarded-client-cert", strings.ReplaceAll(told.Certificate, ";", "\n")},
		[2]string{"access log of " + h.to.name, r.decision() + ", " + r.Security},
	)
	from, to := h.from.id.String(), h.to.id.String()
	s.holds(told.Caller == from && r.Source.ID == from, "%s saw the caller %s", h.to.name, clipID(told.Caller))
	s.holds(strings.HasPrefix(told.Certificate, "By="+to+";") && strings.HasSuffix(told.Certificate, ";URI="+from) && r.Destination.ID == to,
		"both ends of the hop are in the certificate header and in the log")
	s.holds(r.Decision.Policy == h.policy && r.Decision.Verdict == "allow" && r.Security == "mutual_tls",
		"allowed by %s, over mutual TLS", h.policy)
	return nil
}

// clipID is an ID for a sentence.
func clipID(id string) string {
	if id == "" {
		return "(nobody)"
	}
	return id
}
