package drain

import (
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Expire ends the connections whose peer certificate has reached its NotAfter:
// gracefully, and for good once grace has passed since. Opaque bytes know no
// graceful end. The caller asks every second or so.
func (t *Tracker) Expire(now time.Time, grace time.Duration) {
	t.Each(func(c *Conn) {
		a := c.About()
		if a == nil || !a.Peer.Authenticated() || now.Before(a.Peer.NotAfter()) {
			return
		}
		since := c.gracefulAt.Load()
		overdue := since != 0 && now.Sub(time.Unix(0, since)) > grace
		if overdue || a.Protocol == flow.TCP {
			c.Abort(flow.CertificateExpired)
			return
		}
		c.CloseGracefully(flow.CertificateExpired)
	})
}

// Verify cuts off the connections whose peer valid does not accept any more.
func (t *Tracker) Verify(valid func(*About) bool) {
	t.Each(func(c *Conn) {
		if a := c.About(); a != nil && a.Peer.Authenticated() && !valid(a) {
			c.Abort(flow.CertificateRevoked)
		}
	})
}

// Reauthorize cuts off the connections that the policy in force now denies.
func (t *Tracker) Reauthorize() {
	t.Each(func(c *Conn) {
		if a := c.About(); a != nil && a.StillAllowed != nil && !a.StillAllowed() {
			c.Abort(flow.PolicyChanged)
		}
	})
}

// Abandon ends the work that is under way for clients that have gone.
func (t *Tracker) Abandon() {
	t.Each(func(c *Conn) {
		if a, ok := c.end.(Abandoner); ok {
			a.AbandonIfGone()
		}
	})
}
