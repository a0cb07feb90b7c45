package meshca

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	// askTimeout is for an SVID, review of the token included.
	askTimeout = 30 * time.Second
	// pollTimeout is above what any issuer keeps a poll waiting.
	pollTimeout = 2 * time.Minute
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 16 << 10
)

// An issuer is asked over HTTPS: for SVIDs by nobody in particular, whom the token
// makes known; for bundles with the SVID, over one connection that is kept.
type issuer struct {
	source   *Source
	opts     Options
	expected mtls.Expected
	known    identity.Publisher // what verifies the server, and our SVID
	asking   *http.Client
	// polling belongs to the goroutine that polls; as is with what its connection
	// was made.
	polling *http.Client
	as      *identity.Snapshot
}

func newIssuer(s *Source, opts Options) (*issuer, error) {
	expected, err := mtls.NewExpected(opts.Server)
	if err != nil {
		return nil, fmt.Errorf("mesh CA: server: %w", err)
	}
	i := &issuer{source: s, opts: opts, expected: expected}
	i.asking = i.client(mtls.ClientOptions{Expected: expected, Anonymous: true}, askTimeout)
	return i, nil
}

func (i *issuer) client(opts mtls.ClientOptions, timeout time.Duration) *http.Client {
	dial := i.opts.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return &http.Client{
		Timeout: timeout,
		// The token is for one server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// No Proxy: what is configured for the application is not ours.
			DialContext:            dial,
			TLSClientConfig:        mtls.ClientConfig(&i.known, opts),
			TLSHandshakeTimeout:    handshakeTimeout,
			MaxResponseHeaderBytes: maxHead,
			MaxConnsPerHost:        1,
			// An SVID is asked for twice an hour.
			DisableKeepAlives:  opts.Anonymous,
			DisableCompression: true, // a bound on what is read would be none
		},
	}
}

// poller returns the client that polls. There is another one, and so another
// connection, for each SVID and for other bundles: the issuer answers only whom it
// would let in now, and we ask only whom we would.
func (i *issuer) poller() *http.Client {
	snap := i.source.Current()
	if i.as == nil || i.as.SVID != snap.SVID || i.as.Bundles != snap.Bundles {
		i.forget()
		i.polling, i.as = i.client(mtls.ClientOptions{Expected: i.expected}, pollTimeout), snap
	}
	return i.polling
}

// forget closes the connection that is kept, as soon as it is idle.
func (i *issuer) forget() {
	if i.polling != nil {
		i.polling.CloseIdleConnections()
	}
}

// ask has a key certified.
func (i *issuer) ask(ctx context.Context, request wire.SVIDRequest) (wire.SVIDAnswer, []*x509.Certificate, error) {
	token, err := readToken(i.opts.Token)
	if err != nil {
		return wire.SVIDAnswer{}, nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return wire.SVIDAnswer{}, nil, fmt.Errorf("write the request for an SVID: %w", err)
	}
	header := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	res, err := i.do(ctx, i.asking, http.MethodPost, wire.PathSVID, header, body)
	if err != nil {
		return wire.SVIDAnswer{}, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return wire.SVIDAnswer{}, nil, i.refused(res)
	}
	answer, chain, err := wire.DecodeAnswer(res.Body)
	if err != nil {
		return wire.SVIDAnswer{}, nil, i.wrong(err)
	}
	return answer, chain, nil
}

// poll waits for other bundles than those of the version since; nil: there were
// none for a while.
func (i *issuer) poll(ctx context.Context, since string) (*wire.Bundles, error) {
	path := wire.PathBundles + "?" + wire.QuerySince + "=" + url.QueryEscape(since)
	res, err := i.do(ctx, i.poller(), http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNoContent:
		return nil, nil //nolint:nilnil // no news is neither
	case http.StatusOK:
	default:
		return nil, i.refused(res)
	}
	b, err := wire.DecodeBundles(res.Body)
	if err != nil {
		return nil, i.wrong(err)
	}
	return &b, nil
}

func (i *issuer) do(ctx context.Context, c *http.Client, method, path string, header http.Header, body []byte) (*http.Response, error) {
	if err := i.learn(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+i.opts.Address+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("issuer at %q: %w", i.opts.Address, err)
	}
	maps.Copy(req.Header, header)
	res, err := c.Do(req)
	if err != nil {
		return nil, i.unreachable(err)
	}
	return res, nil
}

// learn prepares the next handshake: the issuer is vouched for by a root of the
// file or of the bundles that it sent.
func (i *issuer) learn() error {
	snap := i.source.Current()
	td := i.opts.Server.TrustDomain()
	roots, err := readAnchors(i.opts.TrustAnchors)
	trusted := x509bundle.FromX509Authorities(td, roots)
	if snap.Bundles != nil {
		// With bundles we do without the file.
		err = nil
		if own, ok := snap.Bundles.Get(td); ok {
			for _, root := range own.X509Authorities() {
				trusted.AddX509Authority(root)
			}
		}
	}
	if err != nil {
		return err
	}
	i.known.Publish(snap.SVID, x509bundle.NewSet(trusted))
	return nil
}

// unreachable says what to do when there was no answer.
func (i *issuer) unreachable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // it repeats the address
	}
	remedy := "check that the control plane runs, and that the network lets this workload reach that port"
	switch {
	case errors.Is(err, mtls.ErrUntrusted):
		remedy = fmt.Sprintf("its roots are not those in %q; check that the file is that of this mesh and is kept up to date", i.opts.TrustAnchors)
	case errors.Is(err, mtls.ErrUnexpectedID), errors.Is(err, mtls.ErrUnknownTrustDomain):
		remedy = "check the address, and the SPIFFE ID that is expected of the issuer"
	case errors.Is(err, mtls.ErrNotSVID):
		remedy = "whoever answers there is not the issuer; check the address"
	case errors.Is(err, mtls.ErrExpired):
		remedy = "check the clocks of this machine and of the control plane's"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		remedy = "check the name in the address, and that this workload may ask the name server"
	}
	return fmt.Errorf("issuer at %q: no answer: %s: %w", i.opts.Address, remedy, err)
}

// wrong is about an answer that can't be used.
func (i *issuer) wrong(err error) error {
	return fmt.Errorf("issuer at %q: its answer can't be used: %w", i.opts.Address, err)
}

// A refusal is an answer that is no success.
type refusal struct {
	address string
	status  int
	says    string
	remedy  string
	// after is when the issuer wants to be asked again; 0: it didn't say.
	after time.Duration
}

// Error implements error. What the issuer says is foreign text.
func (r *refusal) Error() string {
	return fmt.Sprintf("issuer at %q: status %d, %q%s", r.address, r.status, r.says, r.remedy)
}

func (i *issuer) refused(res *http.Response) error {
	r := &refusal{address: i.opts.Address, status: res.StatusCode, after: retryAfter(res.Header.Get("Retry-After"))}
	r.says = cmp.Or(wire.DecodeRefusal(res.Body), "no reason")
	switch res.StatusCode {
	case http.StatusUnauthorized:
		r.remedy = fmt.Sprintf("; check that %q is the token of this pod for the audience %q", i.opts.Token, wire.Audience)
	case http.StatusNotFound:
		r.remedy = "; whoever answers there is no issuer of this version"
	}
	return r
}
