package inbound

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// watchTunnel has what may become a tunnel judged again when policies change: it
// can live for days, and no request follows that could be judged instead.
func (c *conn) watchTunnel(q *flow.Request) bool {
	l, conn, judged := c.l, c.Flow, *q // copies: the originals belong to this goroutine
	judged.Conn, judged.Header = &conn, copyOf(q.Header)
	about := c.about
	about.StillAllowed = func() bool {
		again := judged
		return (conn.Security == flow.MutualTLS || !l.opts.Strict()) && l.opts.Enforcer.Request(&again)
	}
	c.Tracked.Describe(&about)
	if about.StillAllowed() {
		return true
	}
	q.Refusal = flow.Refusal{Reason: flow.PolicyChanged, Detail: "while the request was on its way"}
	return false
}

// fields is a header that outlives its request.
type fields []field

type field struct{ name, value string }

func copyOf(h flow.Header) fields {
	var all fields
	h.Each(func(name, value string) bool {
		all = append(all, field{name, value})
		return true
	})
	return all
}

// Get implements [flow.Header].
func (f fields) Get(name string) (string, bool) {
	for _, one := range f {
		if strings.EqualFold(one.name, name) {
			return one.value, true
		}
	}
	return "", false
}

// Each implements [flow.Header].
func (f fields) Each(yield func(name, value string) bool) {
	for _, one := range f {
		if !yield(one.name, one.value) {
			return
		}
	}
}
