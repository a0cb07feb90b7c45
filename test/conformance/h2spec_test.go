package conformance_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// h2specMinimum is how many cases h2spec 2.2.1 has: a run that ends early, or finds
// no case, must not look like a success.
const h2specMinimum = 146

// TestH2spec has h2spec (github.com/summerwind/h2spec) test the engine: generic,
// RFC 7540 and HPACK, with what a server only should do (--strict).
func TestH2spec(t *testing.T) {
	if testing.Short() {
		t.Skip("builds h2spec; left out with -short")
	}
	addr := startEngine(t, startHTTP2App(t, http.HandlerFunc(h2specApp)))
	report := filepath.Join(t.TempDir(), "report.xml")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/go.mod", "h2spec",
		"--host", host, "--port", port, "--timeout", "5", "--strict", "--junit-report", report)
	cmd.Dir = filepath.Join("..", "..")
	out, runErr := cmd.CombinedOutput()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("h2spec wrote no report: %v\n%s", runErr, out)
	}
	cases := readReport(t, text)
	if runErr != nil {
		t.Errorf("h2spec: %v\n%s", runErr, out)
	}
	atLeast(t, "cases of h2spec", cases, h2specMinimum)
}

// h2specApp answers with a body, as some cases need one.
func h2specApp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, "hello, h2spec\n")
}

// readReport counts the cases that passed, and fails the test for those that did
// not, or did not run.
func readReport(t *testing.T, text []byte) (passed int) {
	t.Helper()
	var report struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			switch {
			case c.Failure != nil, c.Error != nil:
				t.Errorf("%s: %s: failed", c.Package, c.Name)
			case c.Skipped != nil:
				t.Errorf("%s: %s: skipped", c.Package, c.Name)
			default:
				passed++
			}
		}
	}
	return passed
}

// startHTTP2App starts a server of net/http that speaks HTTP/2 without TLS.
func startHTTP2App(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return ln.Addr().String()
}

// startEngine puts our HTTP/2 engine in front of app.
func startEngine(t *testing.T, app string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	buffers := new(http2.Buffers)
	pool := http2.NewPool(http2.PoolOptions{
		ClientOptions: http2.ClientOptions{Limits: limits.Default(), Buffers: buffers},
		Dial: func(ctx context.Context) (http2.Dialed, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", app)
			if err != nil {
				return http2.Dialed{}, err
			}
			return http2.Dialed{Conn: socket.Wrap(nc)}, nil
		},
	})
	server := http2.NewServer(http2.ServerOptions{Limits: limits.Default(), Buffers: buffers})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			c := server.NewConn(socket.Wrap(nc))
			wg.Go(func() {
				_ = c.Serve(func(x *http2.Exchange) { relayHTTP2(t.Context(), pool, x) })
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		pool.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// relayHTTP2 is what a stage does with an exchange.
func relayHTTP2(ctx context.Context, pool *http2.Pool, x *http2.Exchange) {
	respond := func(status int, why error) {
		_ = x.Respond(status, []byte("x-why: "+strconv.Quote(why.Error())+"\r\n"), nil)
	}
	if x.Err != nil {
		status := http.StatusBadRequest
		if broken, ok := errors.AsType[*message.ProtocolError](x.Err); ok && broken.Kind == message.HeadTooLarge {
			status = http.StatusRequestHeaderFieldsTooLarge
		}
		respond(status, x.Err)
		return
	}
	up, err := pool.Get(ctx, x.Started)
	if err != nil {
		respond(http.StatusServiceUnavailable, err)
		return
	}
	f := x.Forward(up, new(message.Edits))
	if f != nil && x.Retryable(f) {
		x.Rewind()
		if up, err = pool.Fresh(ctx); err == nil {
			f = x.Forward(up, new(message.Edits))
		}
	}
	if f != nil && f.Unsent {
		respond(http.StatusBadGateway, f)
	}
}
