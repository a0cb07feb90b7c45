package issue

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"golang.org/x/net/netutil"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/fair"
)

// A Signer is the CA. Package keeper has one. Its snapshots hold the identity
// with which the server presents itself, and the bundles it hands out.
type Signer interface {
	identity.Source
	TrustDomain() spiffeid.TrustDomain
	Issue(id spiffeid.ID, key crypto.PublicKey) ([]*x509.Certificate, error)
}

// Options are what a [Server] is made of.
type Options struct {
	// Signer is the CA; required.
	Signer Signer
	// Reviewer says whose tokens are; required.
	Reviewer Reviewer
	// Audience is what tokens must be made for; empty: [wire.Audience].
	Audience string
	// Reserved are identities that nobody is given here: the control plane's.
	Reserved []spiffeid.ID
	// Excluded are namespaces whose pods are given none.
	Excluded []string
	// Permit may refuse more callers; nil: it doesn't.
	Permit func(Caller) error
	// Next answers the requests that are not for the issuer, on the same port
	// and connections; nil: they are refused. Its clients may be anonymous.
	Next http.Handler
	// Metrics counts; nil: nobody sees.
	Metrics *Metrics
	// Log receives a line for each issue and each refusal; nil: nothing is
	// logged.
	Log *slog.Logger
}

// A Server is the issuer's HTTP interface. It implements [http.Handler].
type Server struct {
	opts    Options
	log     *slog.Logger
	metrics *Metrics

	reviews   chan struct{} // one in it for each TokenReview under way
	pods      *rate
	addresses *rate
	encoded   atomic.Pointer[encoded] // of the newest bundles
}

// New returns a server.
func New(opts Options) (*Server, error) {
	if opts.Signer == nil || opts.Reviewer == nil {
		return nil, errors.New("issuer: no signer or no reviewer")
	}
	opts.Audience = cmp.Or(opts.Audience, wire.Audience)
	s := &Server{
		opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)), metrics: opts.Metrics,
		reviews: make(chan struct{}, maxReviews),
		pods:    newRate(issueRate, issueBurst), addresses: newRate(addressRate, addressBurst),
	}
	if s.metrics == nil {
		s.metrics = NewMetrics(nil)
	}
	return s, nil
}

// TLSConfig is that of the port: the control plane's own SVID, TLS 1.3, and
// clients that may be anonymous, since some come for their first certificate. A
// certificate that is presented is verified.
func (s *Server) TLSConfig() *tls.Config {
	return mtls.ServerConfig(s.opts.Signer, mtls.ServerOptions{NextProtos: []string{"h2", "http/1.1"}, Anonymous: true})
}

// Serve answers connections of l, without TLS yet, until ctx ends. Then it lets
// answers under way end, polls at once, and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s, TLSConfig: s.TLSConfig(), MaxHeaderBytes: maxHead,
		ReadHeaderTimeout: handshakeAndHead, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the polls
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var ending sync.WaitGroup
	ending.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer ending.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	})
	err := server.ServeTLS(netutil.LimitListener(fair.Listen(l, maxPerAddress), maxConnections), "", "")
	if stop() {
		ending.Done() // it will never run
	}
	ending.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == wire.PathSVID:
		s.serveSVID(w, r)
	case r.URL.Path == wire.PathBundles:
		s.serveBundles(w, r)
	case s.opts.Next != nil && !strings.HasPrefix(r.URL.Path, "/v1/"):
		s.opts.Next.ServeHTTP(w, r)
	default:
		s.answer(w, r, refuse(noSuchPath, errors.New(clipped(r.URL.Path))))
	}
}

// deadlines bound what a request may take from now on, in the connection.
func deadlines(w http.ResponseWriter, read, write time.Duration) {
	c := http.NewResponseController(w)
	// A writer without deadlines is one of a test.
	_ = c.SetReadDeadline(time.Now().Add(read))
	_ = c.SetWriteDeadline(time.Now().Add(write))
}

// clipped shortens foreign text for the log.
func clipped(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "?") }
