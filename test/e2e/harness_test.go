package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(crowdEnv) != "" {
		os.Exit(crowd(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// The workloads of these tests.
const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
	intruder = "spiffe://example.org/ns/shop/sa/intruder"
)

// patience bounds every wait for a peer. It decides only how late a failure is
// noticed.
const patience = time.Minute

// Policies that let tests speak of something else.
const (
	allowMesh = mesh + "{defaultAccess: AllowAuthenticated}\n"
	allowAll  = mesh + "{defaultAccess: AllowAll}\n"
	mesh      = "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: "
	next      = "---\n"
)

// access is an AccessPolicy for the workload payments.
func access(action, rules string) string {
	return "apiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\n" +
		"metadata: {name: " + strings.ToLower(action) + "-callers, namespace: shop}\n" +
		"spec: {selector: {matchLabels: {app: payments}}, action: " + action + ", rules: [" + rules + "]}\n"
}

// inspection is an InspectionPolicy for the workload payments; spec is the
// inside of a flow mapping.
func inspection(spec string) string {
	return "apiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: waf, namespace: shop}\n" +
		"spec: {selector: {matchLabels: {app: payments}}, " + spec + "}\n"
}

// A side describes one sidecar.
type side struct {
	source identity.Source
	// forward is the application of an inbound sidecar.
	forward string
	// to are the endpoints of an outbound one, and who they must be.
	to     []string
	server string // payments when empty
	// listener is added to the listener, spec to the whole; YAML.
	listener, spec string
	// destination is added to the destination of an outbound sidecar; YAML.
	destination string
	// quic is a mode of the destination, quicPort that of its sidecar.
	quic     string
	quicPort string
	// policies are documents, or directory holds them.
	policies, directory string
	notReady            bool
}

// overQUIC is how the destination of an outbound sidecar is called, if not over TCP.
func (s side) overQUIC() string {
	if s.quic == "" {
		return ""
	}
	return ", quic: \"" + s.quic + "\", quicPort: " + s.quicPort
}

// ports are the sidecar's own; every sidecar of these tests has them.
const ports = `
  admin: {listen: "127.0.0.1:0"}
  metrics: {listen: "127.0.0.1:0"}
  health: {listen: "127.0.0.1:0"}
`

// yaml is the body of the sidecar's spec.
func (s side) yaml() string {
	var b strings.Builder
	if s.forward != "" {
		fmt.Fprintf(&b, "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: %q%s}]\n", s.forward, s.listener)
	}
	if len(s.to) > 0 {
		server := s.server
		if server == "" {
			server = payments
		}
		fmt.Fprintf(&b, "  outbound: [{name: out, listen: \"127.0.0.1:0\", destination: peer%s}]\n", s.listener)
		fmt.Fprintf(&b, "  destinations: [{name: peer, addresses: [\"%s\"], spiffeIDs: [%q]%s}]\n",
			strings.Join(s.to, `", "`), server, s.overQUIC()+s.destination)
	}
	if s.directory != "" {
		fmt.Fprintf(&b, "  policies: {directory: %q}\n", s.directory)
	}
	return b.String() + s.spec + ports
}

func (s side) start(t testing.TB) *testkit.Sidecar {
	t.Helper()
	name := "payments"
	if len(s.to) > 0 {
		name = "checkout"
	}
	return testkit.Start(t, testkit.Options{
		YAML: s.yaml(), Name: name, Labels: map[string]string{"app": name},
		Source: s.source, Policies: s.policies, NotReady: s.notReady,
	})
}

// A pair is an application behind a sidecar, and the sidecar of its caller.
type pair struct {
	ca      *identitytest.CA
	in, out *testkit.Sidecar
	inID    *identitytest.StaticSource
	outID   *identitytest.StaticSource
}

// quicEnv is an environment variable that makes the hop of every pair a stream of
// QUIC, if it is not empty: what is true over TCP has to be true over QUIC as well.
const quicEnv = "OUTRIDER_TEST_QUIC"

// newPair starts both, and lets the caller in unless in has policies.
func newPair(t testing.TB, in, out side) *pair {
	t.Helper()
	p := &pair{ca: identitytest.NewCA(t, "example.org")}
	p.inID, p.outID = p.ca.Source(t, payments), p.ca.Source(t, checkout)
	in.source, out.source = p.inID, p.outID
	if in.policies == "" && in.directory == "" {
		in.policies = allowMesh
	}
	if out.quic == "" && os.Getenv(quicEnv) != "" {
		out.quic = "On"
	}
	if out.quic != "" && out.quicPort == "" {
		in.spec += "\n  quic: {listen: \"127.0.0.1:0\"}\n"
	}
	p.in = in.start(t)
	if out.quic != "" && out.quicPort == "" {
		_, out.quicPort, _ = net.SplitHostPort(p.in.QUICAddress())
	}
	out.to = append(out.to, p.in.Address(t, "in"))
	p.out = out.start(t)
	return p
}

// serveApp runs an HTTP application until the test ends.
func serveApp(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveHTTP2 runs an application of HTTP/2 without TLS until the test ends.
func serveHTTP2(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = unencryptedHTTP2()
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// unencryptedHTTP2 is HTTP/2 with prior knowledge, and nothing else.
func unencryptedHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// hello is an application with nothing to say.
func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// serveTCP runs an application that gets its connections raw, and waits for
// them.
func serveTCP(t testing.TB, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	conns := make(chan struct{}, 1<<16)
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := l.AcceptTCP()
			if err != nil {
				for range n {
					<-conns
				}
				return
			}
			go func() {
				defer func() { conns <- struct{}{} }()
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				handle(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// nobody is an address at which nobody listens.
func nobody(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
