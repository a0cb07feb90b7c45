// Package meshca obtains this process's identity from the mesh's own issuer: it
// makes a key, has it certified in exchange for the Kubernetes service account
// token of its pod, and does so again before half of the certificate's life is
// long over. Package wire has the messages.
//
// The key never leaves the process, and each SVID has another one. The token is
// read anew each time, since the kubelet replaces it. The issuer is known by the
// roots in a file and by its SPIFFE ID; once it has answered, also by the bundles
// that it sent, so that a file that nobody renews outlives a change of roots.
//
// Between renewals the source waits for other bundles, so that a new root, or one
// that is gone, is known here as soon as the issuer knows it. While the issuer is
// away the last SVID and bundles stay in use, and having none yet is a state to
// report and not a reason to stop.
package meshca

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
)

// Options says where the issuer is and how both sides know each other.
type Options struct {
	// Address is the issuer's "host:port"; required.
	Address string
	// Server is the issuer's SPIFFE ID. Its trust domain is ours; required.
	Server spiffeid.ID
	// Token is the file of the service account token; required.
	Token string
	// TrustAnchors is the PEM file of the roots that vouch for the issuer;
	// required.
	TrustAnchors string
	// MinBackoff and MaxBackoff bound the pause between attempts, which doubles
	// from one to the other; zero: half a second and half a minute. The latter
	// is 170 attempts a second of 5,000 workloads whose issuer comes back.
	MinBackoff, MaxBackoff time.Duration
	// Dial opens connections; nil: a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log receives changes of state; nil: nothing is logged.
	Log *slog.Logger
}

// A Source holds the identity that the issuer gave. It implements
// [identity.Source].
type Source struct {
	identity.Publisher

	opts   Options
	log    *slog.Logger
	issuer *issuer
	// again asks for a new SVID before it is due: the bundles that have come
	// don't vouch for the one that we have. It holds one request.
	again chan struct{}

	mu                sync.Mutex // guards what follows
	version           string     // of the bundles in the newest snapshot
	renewing, polling error      // why the last attempt of each failed; nil: it didn't
}

// New returns a source that asks nobody before it runs. It fails if opts cannot
// be right.
func New(opts Options) (*Source, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.MinBackoff = cmp.Or(opts.MinBackoff, minBackoff)
	opts.MaxBackoff = max(cmp.Or(opts.MaxBackoff, maxBackoff), opts.MinBackoff)
	s := &Source{opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)), again: make(chan struct{}, 1)}
	var err error
	if s.issuer, err = newIssuer(s, opts); err != nil {
		return nil, err
	}
	s.Fail(fmt.Errorf("issuer at %q: not asked yet", opts.Address))
	return s, nil
}

func (o Options) check() error {
	var errs []error
	if _, port, err := net.SplitHostPort(o.Address); err != nil || port == "" {
		errs = append(errs, fmt.Errorf("mesh CA: address %q: want host:port", o.Address))
	}
	if o.Server.Path() == "" {
		errs = append(errs, fmt.Errorf("mesh CA: server %q: want the SPIFFE ID of the issuer", o.Server))
	}
	if o.Token == "" {
		errs = append(errs, errors.New("mesh CA: token: no file named"))
	}
	if o.TrustAnchors == "" {
		errs = append(errs, errors.New("mesh CA: trust anchors: no file named"))
	}
	return errors.Join(errs...)
}

// Run keeps the identity fresh until ctx ends; then it returns nil. The last
// snapshot stays readable.
func (s *Source) Run(ctx context.Context) error {
	var polling sync.WaitGroup
	polling.Go(func() { s.follow(ctx) })
	s.renew(ctx)
	polling.Wait()
	return nil
}

// take makes an SVID and bundles the current ones. A nil svid keeps the present
// one.
func (s *Source) take(svid *x509svid.SVID, bundles *x509bundle.Set, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if svid == nil {
		s.polling = nil
		svid = s.Current().SVID
	} else {
		s.renewing = nil
	}
	if version == s.version {
		bundles = s.Current().Bundles // the same value, so that others can compare
	} else {
		s.log.Info("bundles received", "trust_domains", bundles.Len(), "version", version)
	}
	s.version = version
	s.Publish(svid, bundles)
	if err := errors.Join(s.renewing, s.polling); err != nil {
		s.Fail(err)
	}
}

// note records that renewing, or else polling, failed, or that it works again. It
// logs each change once.
func (s *Source) note(slot *error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := errors.Join(s.renewing, s.polling)
	*slot = err
	now := errors.Join(s.renewing, s.polling)
	switch {
	case now == nil && was != nil:
		s.Publish(s.Current().SVID, s.Current().Bundles)
		s.log.Info("the issuer answers again")
	case now != nil && (was == nil || was.Error() != now.Error()):
		s.Fail(now)
		s.log.Warn("the issuer is of no help", "err", err, "keeping", s.Current().SVID != nil)
	}
}

// has returns the version of the present bundles. After a failure it is none, so
// that the next poll is answered at once and tells that polling works again.
func (s *Source) has() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polling != nil {
		return ""
	}
	return s.version
}
