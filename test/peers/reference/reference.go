// Package reference is the simplest proxy that can be one side of the hop: the
// standard library's ReverseProxy between its own server and transport. It is
// the benchmark's yardstick and the peer its test runs.
package reference

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// Subcommand is the first argument that makes the benchmark's executable run
// as this proxy; the second is Options.Encode.
const Subcommand = "nethttp"

// idle is how long connections are kept open: longer than any run.
const idle = 2 * time.Hour

// Options describe one side of the hop.
type Options struct {
	// Outbound tells the side that speaks mTLS to its upstream; the other one
	// speaks it to its clients.
	Outbound bool
	// Listen and Upstream are host:port addresses.
	Listen, Upstream string
	// AccessLog is the file to write one line per request to.
	AccessLog string
	// Cert, Key and CA are PEM files.
	Cert, Key, CA string
	// PeerID is the URI the other side's certificate must carry, PeerName its
	// DNS name.
	PeerID, PeerName string
	// Filter looks for attacks, see filter.go.
	Filter bool `json:",omitempty"`
}

// Encode returns the options as one argument of a command line.
func (o Options) Encode() (string, error) {
	text, err := json.Marshal(o)
	return string(text), err
}

// Run serves until ctx ends. arg is what Encode returned.
func Run(ctx context.Context, arg string) error {
	var o Options
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("read the reference proxy's options: %w", err)
	}
	security, err := o.tls()
	if err != nil {
		return err
	}
	log, err := openLog(o.AccessLog)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the reference proxy: %w", err), log.Close())
	}
	if !o.Outbound {
		ln = tls.NewListener(ln, security)
	}
	handler := o.proxy(security)
	if o.Filter {
		handler = filter(handler)
	}
	server := &http.Server{Handler: log.wrap(handler), ReadHeaderTimeout: idle, IdleTimeout: idle}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, log.Close())
}

// tls makes the configuration of the mTLS side, whichever that is.
func (o Options) tls() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("load the reference proxy's certificate: %w", err)
	}
	text, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("load the reference proxy's roots: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load the reference proxy's roots: no certificate in %q", o.CA)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519},
		Certificates:           []tls.Certificate{cert},
		RootCAs:                roots,
		ServerName:             o.PeerName,
		ClientCAs:              roots,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection:       o.verify,
	}, nil
}

func (o Options) verify(state tls.ConnectionState) error {
	uris := state.PeerCertificates[0].URIs
	if len(uris) != 1 || uris[0].String() != o.PeerID {
		return fmt.Errorf("peer is %v, want %s", uris, o.PeerID)
	}
	return nil
}

func (o Options) proxy(security *tls.Config) http.Handler {
	upstream := &url.URL{Scheme: "http", Host: o.Upstream}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: idle, DisableCompression: true}
	if o.Outbound {
		upstream.Scheme = "https"
		transport.TLSClientConfig = security
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = r.In.Host
		},
		Transport:  transport,
		BufferPool: &buffers{},
	}
}

// buffers keeps the proxy from making a new copying buffer for each response.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	const size = 32 << 10 // what ReverseProxy makes without a pool
	return make([]byte, size)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

// An accessLog writes lines through a buffer; what is in it when the process
// is killed is lost, which a benchmark can bear.
type accessLog struct {
	file *os.File
	mu   sync.Mutex
	buf  *bufio.Writer // guarded by mu
}

func openLog(path string) (*accessLog, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the reference proxy's access log: %w", err)
	}
	return &accessLog{file: file, buf: bufio.NewWriterSize(file, 64<<10)}, nil
}

func (l *accessLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		next.ServeHTTP(w, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		// bufio keeps the first error; Close reports it.
		fmt.Fprintf(l.buf, "%s %s %s %s %d\n", begin.UTC().Format(time.RFC3339), r.RemoteAddr, r.Method,
			r.URL.Path, time.Since(begin).Microseconds())
	})
}

// Close writes what is buffered.
func (l *accessLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.buf.Flush(), l.file.Close())
}
