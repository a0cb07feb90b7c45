package ads

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A Resource is something that the control plane told and that is held.
type Resource struct {
	// Version names the content.
	Version string
	// Body is the content. It is never changed.
	Body []byte
}

// A Set is all documents of the workload, by the names of [push.DocumentName]. It is
// never changed.
type Set map[string]Resource

// A Handler gets what the control plane says. Calls don't overlap, and may call back.
type Handler interface {
	// Documents puts a set into force, all of it, or says why it can't be and changes
	// nothing. It is called for the first answer of every stream too, changed or not.
	Documents(Set) error
	// Destination tells what is known of an address that was asked for, or why that
	// can't be used. An answer with a ttl is to be forgotten then.
	Destination(at netip.AddrPort, r Resource, ttl time.Duration) error
}

// Options configure a [Client]. Every field that doesn't say otherwise is required.
type Options struct {
	// Address is the control plane's "host:port".
	Address string
	// Server is the SPIFFE ID that it must prove; no other is spoken to.
	Server spiffeid.ID
	// Source is our own identity, and the roots that vouch for the control plane.
	Source identity.Source
	// Node says who we are.
	Node push.Node
	// Handler gets what comes.
	Handler Handler
	// Held is the set that is in force already, from a run before; nil for none.
	Held Set
	// Changed is called whenever [Client.Status] is another; it must not block. nil
	// for nobody.
	Changed func()
	// Dial opens connections; nil: a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets a line for each change of state; nil discards them.
	Log *slog.Logger
}

// A Client speaks with the control plane. Its methods may be called from any
// goroutine.
type Client struct {
	opts     Options
	expected mtls.Expected
	session  session

	mu     sync.Mutex // guards status
	status Status
}

// A Status is how things stand between a sidecar and its control plane.
type Status struct {
	// Connected tells that there is a stream and that the control plane has taken us
	// for who we are.
	Connected bool
	// Since is when that began or ended; zero before the first attempt has.
	Since time.Time
	// Err says why there is no stream; nil while there is one, and before the first
	// attempt has ended.
	Err error
	// Attempts counts those to connect.
	Attempts int
}

// New returns a client that speaks with nobody before it runs.
func New(opts Options) (*Client, error) {
	expected, err := mtls.NewExpected(opts.Server)
	if err != nil {
		return nil, fmt.Errorf("control plane: spiffeID: %w", err)
	}
	if _, port, err := net.SplitHostPort(opts.Address); err != nil || port == "" {
		return nil, fmt.Errorf("control plane: address %q: want host:port", opts.Address)
	}
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	c := &Client{opts: opts, expected: expected}
	c.session.start(opts.Held)
	return c, nil
}

// Status is how things stand.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Subscribe asks for what is known of an address; version is what is held of it, empty
// for nothing. Asking again without one has it told again.
func (c *Client) Subscribe(at netip.AddrPort, version string) { c.session.subscribe(at, version) }

// Unsubscribe undoes that.
func (c *Client) Unsubscribe(at netip.AddrPort) { c.session.unsubscribe(at) }

// Run speaks with the control plane until ctx ends, which is no error.
func (c *Client) Run(ctx context.Context) error {
	var wait pause
	for {
		admitted, err := c.converse(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if admitted {
			wait.reset()
		}
		if errors.Is(err, errRotated) {
			continue // at once: there is nothing to wait for
		}
		c.note(err)
		timer := time.NewTimer(wait.next())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// note records that there is no stream, and logs each new reason once.
func (c *Client) note(err error) {
	c.mu.Lock()
	was := c.status
	c.status.Connected, c.status.Err = false, err
	if was.Connected || was.Since.IsZero() {
		c.status.Since = time.Now()
	}
	c.mu.Unlock()
	if was.Err == nil || was.Err.Error() != err.Error() {
		c.opts.Log.Warn("no control plane; what is in force stays", "address", c.opts.Address, "err", err)
	}
	c.opts.Changed()
}

// attempt counts one.
func (c *Client) attempt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Attempts++
}

// admitted records that there is a stream.
func (c *Client) admitted() {
	c.mu.Lock()
	was := c.status.Connected
	c.status.Connected, c.status.Err = true, nil
	if !was {
		c.status.Since = time.Now()
	}
	c.mu.Unlock()
	if was { // with another identity
		return
	}
	c.opts.Log.Info("the control plane answers", "address", c.opts.Address, "spiffe_id", c.opts.Server.String())
	c.opts.Changed()
}
