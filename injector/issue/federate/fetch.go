// Package federate keeps the roots of other trust domains fresh: it fetches them
// from SPIFFE bundle endpoints (SPIFFE Federation §5) and hands them to whoever
// keeps the CA, from where they reach every workload.
//
// Fetching is bounded in bytes and time, follows no redirects, and takes a bundle
// over only as a whole. When an endpoint is away, the roots of before stay: what
// peers of another trust domain may do is for policy to say, and who they are does
// not change because their endpoint is down.
package federate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

const (
	// maxBundle is in bytes: 32 roots and as many keys for JWTs have a quarter
	// of it.
	maxBundle = 512 << 10
	// fetchTimeout is for a whole fetch.
	fetchTimeout = 30 * time.Second
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 64 << 10
)

// A Domain is a trust domain to federate with.
type Domain struct {
	// TrustDomain is its name; required.
	TrustDomain spiffeid.TrustDomain
	// URL is its bundle endpoint, with the scheme https; required.
	URL string
	// EndpointID makes the profile https_spiffe: the endpoint proves to be this
	// identity. Zero means https_web: it has a certificate of a public CA.
	EndpointID spiffeid.ID
	// Bootstrap are the roots that vouch for an endpoint of https_spiffe until
	// a bundle has been fetched.
	Bootstrap []*x509.Certificate
	// WebRoots are the CAs of https_web; nil: those of the system.
	WebRoots *x509.CertPool
}

// A Bundle is what an endpoint has said.
type Bundle struct {
	Roots []*x509.Certificate
	// Refresh is how soon the endpoint wants to be asked again; 0: it didn't
	// say.
	Refresh time.Duration
}

// Check tells whether the domain can be fetched from.
func (d Domain) Check() error {
	u, err := url.Parse(d.URL)
	switch {
	case d.TrustDomain.IsZero():
		return errors.New("federation: no trust domain")
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("federation with %q: %q is not the URL of a bundle endpoint: want https://host/path", d.TrustDomain, d.URL)
	case !d.EndpointID.IsZero() && d.EndpointID.Path() == "":
		return fmt.Errorf("federation with %q: %q is no identity of an endpoint", d.TrustDomain, d.EndpointID)
	case !d.EndpointID.IsZero() && d.EndpointID.MemberOf(d.TrustDomain) && len(d.Bootstrap) == 0:
		return fmt.Errorf("federation with %q: nobody vouches for its endpoint before the first fetch: give its present roots", d.TrustDomain)
	}
	return nil
}

// Fetch asks the endpoint. known are the roots that were last heard of for the
// trust domain of the endpoint's ID, with the profile https_spiffe.
func (d Domain) Fetch(ctx context.Context, known []*x509.Certificate) (Bundle, error) {
	b, err := d.fetch(ctx, known)
	if err != nil {
		return Bundle{}, fmt.Errorf("federation with %q: %w", d.TrustDomain, err)
	}
	return b, nil
}

func (d Domain) fetch(ctx context.Context, known []*x509.Certificate) (Bundle, error) {
	config, err := d.tlsConfig(known)
	if err != nil {
		return Bundle{}, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: maxHead, DisableKeepAlives: true,
		DisableCompression: true, // a bound on what is read would be none
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		// Whoever is configured answers, and nobody whom it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, http.NoBody)
	if err != nil {
		return Bundle{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return Bundle{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Bundle{}, fmt.Errorf("%q answers with status %d", d.URL, res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBundle+1))
	switch {
	case err != nil:
		return Bundle{}, fmt.Errorf("read from %q: %w", d.URL, err)
	case len(data) > maxBundle:
		return Bundle{}, fmt.Errorf("%q answers with more than %d bytes", d.URL, maxBundle)
	}
	return Parse(d.TrustDomain, data)
}

func (d Domain) tlsConfig(known []*x509.Certificate) (*tls.Config, error) {
	if d.EndpointID.IsZero() {
		return &tls.Config{RootCAs: d.WebRoots, MinVersion: tls.VersionTLS12}, nil
	}
	expected, err := mtls.NewExpected(d.EndpointID)
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		known = d.Bootstrap
	}
	var src identity.Publisher
	src.Publish(nil, x509bundle.NewSet(x509bundle.FromX509Authorities(d.EndpointID.TrustDomain(), known)))
	return mtls.ClientConfig(&src, mtls.ClientOptions{
		Expected: expected, Anonymous: true, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// Parse reads a SPIFFE bundle (SPIFFE Trust Domain and Bundle §4). One without
// roots, or with a root that is no CA, is refused as a whole.
func Parse(td spiffeid.TrustDomain, data []byte) (Bundle, error) {
	parsed, err := spiffebundle.Parse(td, data)
	if err != nil {
		return Bundle{}, err
	}
	b := Bundle{Roots: parsed.X509Authorities()}
	if len(b.Roots) == 0 || len(b.Roots) > wire.MaxRoots {
		return Bundle{}, fmt.Errorf("its bundle has %d roots, want 1 to %d", len(b.Roots), wire.MaxRoots)
	}
	for _, root := range b.Roots {
		if !root.IsCA {
			return Bundle{}, fmt.Errorf("its bundle has a certificate that is not a CA: %q", root.Subject)
		}
	}
	b.Refresh, _ = parsed.RefreshHint()
	return b, nil
}
