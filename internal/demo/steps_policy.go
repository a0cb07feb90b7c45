package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

func editStep() step {
	return step{
		title: "A policy is edited, and edited back", name: "policy edited live",
		expected: "403, then 200, then 403",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say("checkout may GET and POST charges, and now tries to cancel one. All calls of this step are made " +
				"on one connection, which stays open.")
			c := s.newCanceller()
			defer c.client.CloseIdleConnections()
			s.call("checkout's application, through its sidecar", http.MethodDelete, c.url)
			first, err := c.cancel(ctx)
			if err != nil {
				return "", err
			}
			r, err := s.refusal(ctx, first)
			if err != nil {
				return "", err
			}
			s.fields([2]string{"decision", r.decision()}, [2]string{"detail", r.Detail})
			s.holds(strings.Contains(r.Detail, `"DELETE"`), "the log says that the method is what does not match")

			s.line("")
			s.line("   %s is edited: methods: [GET, POST, DELETE]", paymentsFile)
			second, err := s.edit(ctx, c, s.plan.edited, http.StatusOK)
			if err != nil {
				return "", err
			}
			s.line("   and edited back: methods: [GET, POST]")
			third, err := s.edit(ctx, c, s.plan.policies[paymentsFile], http.StatusForbidden)
			if err != nil {
				return "", err
			}
			s.line("")
			if err := s.sameConnection(ctx, c, r, third); err != nil {
				return "", err
			}
			return fmt.Sprintf("%d, then %d, then %d", first.status, second.status, third.status), nil
		},
	}
}

// edit writes the payments policy and calls until the answer has the status.
func (s *scene) edit(ctx context.Context, c *canceller, text string, status int) (*reply, error) {
	if err := writePolicy(s.policies(), paymentsFile, text); err != nil {
		return nil, err
	}
	edited := time.Now()
	var got *reply
	err := s.await(ctx, fmt.Sprintf("a DELETE is answered with %d", status), func() (bool, error) {
		var err error
		got, err = c.cancel(ctx)
		return err == nil && got.status == status, err
	})
	if err != nil {
		return nil, err
	}
	s.returned(got)
	s.holds(got.status == status, "in force after %d ms, without a restart", time.Since(edited).Milliseconds())
	return got, nil
}

// sameConnection checks that neither of the two hops was cut by the edits: the
// one between application and sidecar and the one between the sidecars.
func (s *scene) sameConnection(ctx context.Context, c *canceller, first *record, last *reply) error {
	r, err := s.record(ctx, s.payments, last.decision())
	if err != nil {
		return err
	}
	s.holds(c.opened.Load() == 1, "the application's %d calls used %d connection", c.calls.Load(), c.opened.Load())
	s.holds(r.Connection == first.Connection, "so did the sidecars between them: connection %d at first, %d at last", first.Connection, r.Connection)
	return nil
}

// A canceller is checkout's application cancelling a charge, over and over.
type canceller struct {
	client *http.Client
	url    string
	// calls and opened count calls and the connections made for them.
	calls, opened atomic.Int64
}

func (s *scene) newCanceller() *canceller {
	return &canceller{client: newClient(), url: "http://" + s.checkout.outbound() + "/v1/charges/42"}
}

func (c *canceller) cancel(ctx context.Context) (*reply, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			c.opened.Add(1)
		}
	}})
	c.calls.Add(1)
	return call(ctx, c.client, request{method: http.MethodDelete, url: c.url})
}

func mistakeStep() step {
	return step{
		title: "A policy with a mistake is refused, and the last good ones stay", name: "mistyped policy",
		expected: "refused, naming the field",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say(`Somebody adds a file in which "principals" is spelt "principle". If unknown keys were ignored, its ` +
				"rule would let everybody in.")
			good, err := s.payments.dump(ctx, s.client)
			if err != nil {
				return "", err
			}
			if err := writePolicy(s.policies(), mistypedFile, s.plan.mistyped); err != nil {
				return "", err
			}
			bad, err := s.awaitPolicies(ctx, "payments' sidecar refuses "+mistypedFile, func(d *dump) bool { return d.Policies.Problem != "" })
			if err != nil {
				return "", err
			}
			s.line("")
			s.line("   What payments' sidecar says of it, at /config_dump and in its log:")
			s.fields([2]string{"problem", strings.ReplaceAll(bad.Policies.Problem, s.dir+"/", "")}, [2]string{"documents in force", "generation " + bad.Policies.Documents.Generation})
			s.holds(strings.Contains(bad.Policies.Problem, mistypedField), "the problem names the field, %s", mistypedField)
			s.holds(good.Policies.Problem == "" && bad.Policies.Documents.Generation == good.Policies.Documents.Generation, "the documents in force are those from before")
			if err := s.stillEnforced(ctx); err != nil {
				return "", err
			}
			if err := s.mend(ctx); err != nil {
				return "", err
			}
			return "refused: " + named(bad.Policies.Problem, mistypedField), nil
		},
	}
}

// stillEnforced checks that the policies do what they did before.
func (s *scene) stillEnforced(ctx context.Context) error {
	allowed, _, err := s.buy(ctx, "teapot")
	if err != nil {
		return err
	}
	denied, err := s.intrude(ctx)
	if err != nil {
		return err
	}
	s.line("")
	expect(s.page, "a customer's call meanwhile", allowed.status, http.StatusOK)
	expect(s.page, "the intruder's call meanwhile", denied.status, http.StatusForbidden)
	return nil
}

// mend removes the file and waits until the sidecar is content again.
func (s *scene) mend(ctx context.Context) error {
	if err := removePolicy(s.policies(), mistypedFile); err != nil {
		return err
	}
	d, err := s.awaitPolicies(ctx, "payments' sidecar has nothing to complain of", func(d *dump) bool { return d.Policies.Problem == "" })
	if err != nil {
		return err
	}
	s.holds(d.Policies.Problem == "", "with the file removed, the problem is gone")
	return nil
}

// awaitPolicies waits until payments' config dump is as it should be.
func (s *scene) awaitPolicies(ctx context.Context, what string, holds func(*dump) bool) (d *dump, err error) {
	err = s.await(ctx, what, func() (bool, error) {
		if d, err = s.payments.dump(ctx, s.client); err != nil {
			return false, err
		}
		return holds(d), nil
	})
	return d, err
}
