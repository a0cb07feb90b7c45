// Package enforce asks the policy in force about a connection or a request, and
// is the one place where a refusal gets its status.
package enforce

import (
	"sync"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// An Enforcer holds the policy set in force. Its zero value denies everything.
type Enforcer struct {
	set atomic.Pointer[authz.Set]
	// questions holds *authz.Request: one made for every request of a busy
	// sidecar would be most of what it allocates.
	questions sync.Pool
}

// Publish puts a set in force. Requests are judged by it from now on; open
// opaque connections are the caller's to judge again.
func (e *Enforcer) Publish(set *authz.Set) { e.set.Store(set) }

// NeedsHTTP tells whether a policy speaks of HTTP on the port, so that other
// bytes must not pass there.
func (e *Enforcer) NeedsHTTP(port uint16) bool { return e.set.Load().HasL7(port) }

// Connection judges a connection when its peer is known: an HTTP one only if all
// its requests would be denied, an opaque one for good. It tells whether the
// connection may go on.
func (e *Enforcer) Connection(c *flow.Connection) bool {
	set, r := e.set.Load(), requestOf(c)
	if r.HTTP {
		c.Decision = set.AuthorizeConnection(&r)
	} else {
		c.Decision = set.Authorize(&r)
	}
	if c.Decision.Allowed {
		return true
	}
	c.Refusal = flow.Refusal{Reason: flow.AccessDenied, Detail: explain(set, c.Decision, &r)}
	return false
}

// StillAllows judges a connection of opaque bytes again, and changes nothing.
func (e *Enforcer) StillAllows(c *flow.Connection) bool {
	r := requestOf(c)
	return e.set.Load().Authorize(&r).Allowed
}

// Request judges one request and tells whether it may go on.
func (e *Enforcer) Request(q *flow.Request) bool {
	r, ok := e.questions.Get().(*authz.Request)
	if !ok {
		r = new(authz.Request)
	}
	*r = requestOf(q.Conn)
	r.HTTP = true
	r.Method, r.Host, r.Path, r.Header = q.Method, q.Host, q.Path, q.Header
	set := e.set.Load()
	q.Decision = set.Authorize(r)
	if !q.Decision.Allowed {
		q.Refusal = flow.Refusal{Reason: flow.AccessDenied, Detail: explain(set, q.Decision, r)}
	}
	*r = authz.Request{} // keeps nothing of the request alive
	e.questions.Put(r)
	return q.Decision.Allowed
}

// requestOf is what a policy may know of a connection. That it carries HTTP
// matters to the explanation: its requests would have brought more.
func requestOf(c *flow.Connection) authz.Request {
	return authz.Request{
		Peer: c.Peer.ID, Source: c.Remote.Addr().Unmap(), Port: c.Destination.Port(),
		HTTP: c.Protocol.IsHTTP(),
	}
}

// explain says which policy decided and, where an Allow was missing, which one
// came nearest. It is for our own log.
func explain(set *authz.Set, d authz.Decision, r *authz.Request) string {
	text := d.String()
	if d.Basis == authz.NoAllowMatched {
		if n, ok := set.Nearest(r); ok {
			text += "; " + n.String()
		}
	}
	return text
}
