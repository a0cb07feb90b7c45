package hop

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/test/peers/pki"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/reference"
)

// TestMain also plays the reference proxy, which is held by the executable.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == reference.Subcommand {
		if err := reference.Run(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// options prepares a hop of the program in front of an app, or skips the test
// where the program is not installed.
func options(t *testing.T, entry proxies.Entry) Options {
	t.Helper()
	install, err := entry.Program.Locate(t.Context())
	if errors.Is(err, proxies.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.New().Serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	o := Options{Name: entry.Name, Program: entry.Program, Install: install, App: ln.Addr().String(), Dir: t.TempDir(), Workers: 1}
	o.Client, o.Server = issue(t, "client"), issue(t, "server")
	both := bundle(t, o.Client.CA, o.Server.CA)
	o.Client.CA, o.Server.CA = both, both
	return o
}

// bundle joins files of roots. An identity's own root belongs into its bundle:
// the sidecar refuses an SVID that its own trust domain does not vouch for.
func bundle(t *testing.T, roots ...string) string {
	t.Helper()
	var joined []byte
	for _, root := range roots {
		text, err := os.ReadFile(root)
		if err != nil {
			t.Fatal(err)
		}
		joined = append(joined, text...)
	}
	path := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(path, joined, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue makes an identity under a root of its own.
func issue(t *testing.T, name string) pki.Files {
	t.Helper()
	authority, err := pki.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// programs runs a test for every program of the catalogue.
func programs(t *testing.T, run func(*testing.T, proxies.Entry)) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	catalogue := proxies.Catalogue(proxies.Paths{Outrider: "../../../bin/outrider", Self: self})
	if len(catalogue) < 10 {
		t.Fatalf("only %d programs", len(catalogue))
	}
	for _, entry := range catalogue {
		t.Run(entry.Name, func(t *testing.T) { run(t, entry) })
	}
}

func TestTheHopCarriesRequestsAndItsInboundSideInsistsOnTheClient(t *testing.T) {
	programs(t, func(t *testing.T, entry proxies.Entry) {
		o := options(t, entry)
		h, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if body, err := get(t, h.Addr, nil); err != nil || body != string(app.Body(16384)) {
			t.Errorf("through the hop: %d bytes, %v", len(body), err)
		}

		stranger := issue(t, "client")
		cases := []struct {
			name string
			tls  *tls.Config
			ok   bool
		}{
			{"the right client", client(t, o.Client, tls.VersionTLS13), true},
			{"plaintext", nil, false},
			{"no certificate", &tls.Config{InsecureSkipVerify: true}, false},
			{"a certificate of another root", client(t, stranger, tls.VersionTLS13), false},
			{"the right client with TLS 1.2", client(t, o.Client, tls.VersionTLS12), false},
		}
		for _, c := range cases {
			_, err := get(t, h.InboundAddr, c.tls)
			if (err == nil) != c.ok {
				t.Errorf("%s at the inbound side: %v, want ok=%t", c.name, err, c.ok)
			}
		}
		if err := h.Alive(); err != nil {
			t.Error(err)
		}
	})
}

// client is a TLS configuration with the identity and at most the version. Who
// the server is matters here to nobody.
func client(t *testing.T, files pki.Files, version uint16) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		InsecureSkipVerify: true, MaxVersion: version,
		// Presented whatever roots the server names.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
				return fmt.Errorf("cipher suite is %s", tls.CipherSuiteName(state.CipherSuite))
			}
			if state.PeerCertificates[0].PublicKeyAlgorithm != x509.ECDSA {
				return errors.New("the server's key is not ECDSA")
			}
			return nil
		},
	}
}

// get asks for 16 KiB over plaintext or, given a configuration, TLS.
func get(t *testing.T, addr string, config *tls.Config) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /16384 HTTP/1.1\r\nHost: app.bench.test\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}

func TestTheOutboundSideInsistsOnTheServer(t *testing.T) {
	programs(t, func(t *testing.T, entry proxies.Entry) {
		tick := time.NewTicker(retry)
		defer tick.Stop()
		deadline := time.After(startTimeout)
		o := options(t, entry)
		// The outbound side now trusts its own root, which did not sign the
		// server, and one that signed nobody here.
		own := issue(t, "client")
		own.CA = bundle(t, own.CA, issue(t, "server").CA)
		o.Client = own
		h, err := launch(o)
		if err != nil {
			h.Close()
			t.Fatal(err)
		}
		defer h.Close()
		// It must start, and refuse.
		for {
			last := probe(t.Context(), h.Addr, false)
			switch {
			case last == nil:
				t.Fatal("a request passed to a server of an unknown root")
			case strings.Contains(last.Error(), "answered 50"):
				return
			case entry.Opaque && hungUp(last) && listens(h.InboundAddr):
				// What carries bytes has no other way to refuse than to hang up,
				// and nothing else is left that it could do so for.
				return
			}
			if err := h.Alive(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("the outbound side answers neither 502 nor 503: %v", last)
			}
		}
	})
}

func hungUp(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// listens tells whether somebody accepts connections.
func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// What inspects lets honest requests pass, which Start has seen, and refuses an
// attack; what doesn't lets both pass.
func TestInspectionRefusesAnAttack(t *testing.T) {
	programs(t, func(t *testing.T, entry proxies.Entry) {
		h, err := Start(t.Context(), options(t, entry))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		header := []target.Field{{Name: "User-Agent", Value: "test"}, {Name: "Accept", Value: "*/*"}}
		want := http.StatusOK
		if entry.Inspects {
			want = http.StatusForbidden
		}
		form := append(header, target.Field{Name: "Content-Type", Value: "application/x-www-form-urlencoded"})
		for _, r := range []Request{
			{Method: "GET", Target: "/100?id=1%27%20OR%20%271%27%3D%271%27%20--%20", Header: header},
			{Method: "POST", Target: "/100", Header: form, Body: []byte("note=%3Cscript%3Ealert%281%29%3C%2Fscript%3E")},
		} {
			if status, _, err := Ask(t.Context(), h.Addr, r); err != nil || status != want {
				t.Errorf("%s %s: status %d, %v; want %d", r.Method, r.Target, status, err, want)
			}
		}
	})
}

func TestAskIsBoundedByItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		conn.Read(make([]byte, 100))
		cancel() // and never answer
		io.Copy(io.Discard, conn)
	}()
	_, _, err = Ask(ctx, ln.Addr().String(), Request{Method: "GET", Target: "/"})
	if err == nil {
		t.Error("no error")
	}
	<-done
}

func TestCloseLeavesNoProcessBehind(t *testing.T) {
	programs(t, func(t *testing.T, entry proxies.Entry) {
		h, err := Start(t.Context(), options(t, entry))
		if err != nil {
			t.Fatal(err)
		}
		pids := append(h.Inbound, h.Outbound...)
		if len(pids) < 2 {
			t.Errorf("processes are %v, want at least two", pids)
		}
		h.Close()
		h.Close()
		if h.Alive() == nil {
			t.Error("alive after Close")
		}
		for _, pid := range pids {
			waitGone(t, pid)
		}
	})
}

// waitGone waits for the workers of a program, which its end orphans: whoever
// adopts them reaps them in its own time.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("process %d still runs", pid)
			return
		}
	}
}

func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "State:\tZ")
}

func TestAProgramThatEndsEarlyIsExplained(t *testing.T) {
	o := Options{Name: "broken", Program: broken{}, App: "127.0.0.1:1", Dir: t.TempDir()}
	_, err := Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("error is %v, want the exit status and what it said", err)
	}
}

// broken is a program that complains and ends.
type broken struct{}

func (broken) Locate(context.Context) (proxies.Install, error) { return proxies.Install{}, nil }

func (broken) Command(proxies.Install, proxies.Side) (proxies.Command, error) {
	return proxies.Command{Path: "/bin/sh", Args: []string{"-c", "echo no such option >&2; exit 3"}}, nil
}
