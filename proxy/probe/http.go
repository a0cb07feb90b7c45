package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

const (
	// maxBody is read of an answer, in bytes, before its connection is closed: as
	// much as the kubelet reads.
	maxBody = 10 << 10
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 32 << 10
	// maxRedirects is as in the kubelet, which has it from net/http.
	maxRedirects = 10
	// userAgent begins as the kubelet's does, by which applications know it.
	userAgent = "kube-probe/outrider"
)

// overHTTP asks with a GET request. Each has a connection of its own, as the
// kubelet's have: what is to be known is whether a new one is accepted.
func overHTTP(p config.HTTPProbe) func(context.Context, string) error {
	return func(ctx context.Context, address string) error {
		request, err := request(ctx, p, address)
		if err != nil {
			return err
		}
		transport := transportTo(address)
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, CheckRedirect: stayHere}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask: %w", reason(err))
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)); err != nil {
			return fmt.Errorf("read the answer: %w", reason(err))
		}
		if response.StatusCode < 200 || response.StatusCode >= 400 {
			return fmt.Errorf("the answer is %d", response.StatusCode)
		}
		return nil
	}
}

func request(ctx context.Context, p config.HTTPProbe, address string) (*http.Request, error) {
	path := p.Path
	if path == "" {
		path = "/"
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("the probe's path: %w", err)
	}
	u.Scheme, u.Host = "http", address
	if p.TLS {
		u.Scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", "*/*")
	for i, h := range p.Headers {
		switch {
		case strings.EqualFold(h.Name, "Host"):
			request.Host = h.Value
		case first(p.Headers[:i], h.Name):
			request.Header.Set(h.Name, h.Value)
		default:
			request.Header.Add(h.Name, h.Value)
		}
	}
	return request, nil
}

// first tells whether none of the fields has that name.
func first(fields []config.ProbeHeader, name string) bool {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return false
		}
	}
	return true
}

// transportTo connects to the address and nowhere else, whatever a URL says.
func transportTo(address string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		// The kubelet doesn't verify either: it asks an address, for which nobody
		// has a certificate. Nothing that is secret is sent.
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		TLSHandshakeTimeout: time.Minute,
	}
}

// stayHere follows a redirection to the application itself. One that leads away
// is a good answer, as it is to the kubelet: somebody was there to give it.
func stayHere(next *http.Request, via []*http.Request) error {
	if next.URL.Hostname() != via[0].URL.Hostname() || next.URL.Port() != via[0].URL.Port() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("redirected too often")
	}
	return nil
}

// reason leaves out of an error what the kubelet knows: method, address and path.
func reason(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}
