// Package enforce asks the policy in force about a connection or a request, and
// is the one place where a refusal gets its status.
package enforce

import (
	"sync"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/ratelimit"
)

// A Counter is told what metrics show of decisions. Its methods must be quick.
type Counter interface {
	// RateLimited counts a call refused by the limit of a policy.
	RateLimited(policy string)
	// Shadow counts a call judged twice: by what is in force and by what is
	// tried. The policy is the one that decided in the trial, or else in force.
	Shadow(live, shadow bool, policy string)
}

// An Enforcer holds the policy set in force. Its zero value denies everything.
type Enforcer struct {
	// Counter is nil where nobody counts. It must be set before the first call.
	Counter Counter
	// Limiter counts calls against limits; it may be configured before Publish.
	Limiter ratelimit.Limiter

	force    atomic.Pointer[inForce]
	proposal atomic.Pointer[authz.Set]
	// questions holds *authz.Request: one made for every request of a busy
	// sidecar would be most of what it allocates.
	questions sync.Pool
}

// inForce is a set and what its limits count with.
type inForce struct {
	set   *authz.Set
	meter authz.Meter
}

// Publish puts a set in force. Requests are judged by it from now on; open
// opaque connections are the caller's to judge again. Calls must not overlap.
func (e *Enforcer) Publish(set *authz.Set) {
	e.force.Store(&inForce{set: set, meter: e.Limiter.Adopt(set.Quotas())})
}

// Propose has every call judged by a second set too, which has no effect but to be
// counted and written down. nil ends that; what is in force is then compared with
// its own policies in mode DryRun, if it has any.
func (e *Enforcer) Propose(set *authz.Set) { e.proposal.Store(set) }

// NeedsHTTP tells whether a policy speaks of HTTP on the port, so that other
// bytes must not pass there.
func (e *Enforcer) NeedsHTTP(port uint16) bool { return e.current().set.HasL7(port) }

// current is what is in force. Without anything the set is nil, which denies.
func (e *Enforcer) current() inForce {
	if f := e.force.Load(); f != nil {
		return *f
	}
	return inForce{}
}

// Connection judges a connection when its peer is known: an HTTP one only if all
// its requests would be denied, an opaque one for good, which counts against
// limits. It tells whether the connection may go on.
func (e *Enforcer) Connection(c *flow.Connection) bool {
	force, r := e.current(), requestOf(c)
	if r.HTTP {
		if c.Decision = force.set.AuthorizeConnection(&r); !c.Decision.Allowed { // else its requests are tried
			c.Shadow = e.try(force.set, &r, c.Decision, (*authz.Set).AuthorizeConnection)
		}
	} else {
		c.Decision = force.set.Admit(&r, force.meter)
		c.Shadow = e.try(force.set, &r, c.Decision, (*authz.Set).Authorize)
	}
	if c.Decision.Allowed {
		return true
	}
	c.Refusal = e.refusal(force.set, c.Decision, &r)
	return false
}

// StillAllows judges a connection of opaque bytes again, and changes nothing.
func (e *Enforcer) StillAllows(c *flow.Connection) bool {
	r := requestOf(c)
	return e.current().set.Authorize(&r).Allowed
}

// Request judges one request, which counts against limits, and tells whether it
// may go on.
func (e *Enforcer) Request(q *flow.Request) bool {
	r, force := e.ask(q), e.current()
	q.Decision = force.set.Admit(r, force.meter)
	q.Shadow = e.try(force.set, r, q.Decision, (*authz.Set).Authorize)
	if !q.Decision.Allowed {
		q.Refusal = e.refusal(force.set, q.Decision, r)
	}
	e.asked(r)
	return q.Decision.Allowed
}

// StillAllowsRequest judges again a request that is under way, and changes nothing.
func (e *Enforcer) StillAllowsRequest(q *flow.Request) bool {
	r := e.ask(q)
	defer e.asked(r)
	return e.current().set.Authorize(r).Allowed
}

// A verdict is how a set judges a request, or a connection before its first one.
type verdict func(*authz.Set, *authz.Request) authz.Decision

// ask takes a question about a request from the pool; asked puts it back.
func (e *Enforcer) ask(q *flow.Request) *authz.Request {
	r, ok := e.questions.Get().(*authz.Request)
	if !ok {
		r = new(authz.Request)
	}
	*r = requestOf(q.Conn)
	r.HTTP = true
	r.Method, r.Host, r.Path, r.Header = q.Method, q.Host, q.Path, q.Header
	return r
}

func (e *Enforcer) asked(r *authz.Request) {
	*r = authz.Request{} // keeps nothing of the request alive
	e.questions.Put(r)
}

// try asks the set that is tried, if there is one, and counts what it says beside
// what is in force. Limits are no part of either.
func (e *Enforcer) try(set *authz.Set, r *authz.Request, live authz.Decision, judge verdict) authz.Decision {
	shadow := e.proposal.Load()
	if shadow == nil {
		shadow = set.Shadow()
	}
	if shadow == nil {
		return authz.Decision{}
	}
	d := judge(shadow, r)
	if e.Counter != nil {
		policy := d.Policy
		if policy == "" {
			policy = live.Policy
		}
		e.Counter.Shadow(live.Granted(), d.Allowed, policy)
	}
	return d
}

// requestOf is what a policy may know of a connection. That it carries HTTP
// matters to the explanation: its requests would have brought more.
func requestOf(c *flow.Connection) authz.Request {
	r := authz.Request{
		Peer: c.Peer.ID, Source: c.Remote.Addr().Unmap(), Port: c.Destination.Port(),
		Destination: c.Destination.Addr(), ServerName: c.ServerName, Listener: c.Listener, Transport: "tcp",
		HTTP: c.Protocol.IsHTTP(),
	}
	if c.QUIC {
		r.Transport = "quic"
	}
	return r
}

// refusal says which policy decided and, where an Allow was missing, which one
// came nearest. The detail is for our own log.
func (e *Enforcer) refusal(set *authz.Set, d authz.Decision, r *authz.Request) flow.Refusal {
	refusal := flow.Refusal{Reason: flow.AccessDenied, Detail: d.String()}
	switch d.Basis {
	case authz.ByLimit:
		refusal.Reason, refusal.RetryAfter = flow.RateLimited, d.RetryAfter
		if e.Counter != nil {
			e.Counter.RateLimited(d.Policy)
		}
	case authz.NoAllowMatched:
		if n, ok := set.Nearest(r); ok {
			refusal.Detail += "; " + n.String()
		}
	default: // the decision says it all
	}
	return refusal
}
