package conformance_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// The workloads of every test. Payments serves, checkout may call it, and the
// intruder has an identity and no permission.
const (
	payments = "spiffe://example.org/ns/shop/sa/payments"
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	intruder = "spiffe://example.org/ns/shop/sa/intruder"
)

const allowCheckout = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["` + checkout + `"]}]
`

// inspecting makes the WAF look at every request without refusing any: bodies
// are then read ahead and replayed. It looks at little of each, as what is looked
// at is random and takes long.
const inspecting = `---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: Detect
  body: {inspectBytes: 1024, overflow: InspectPrefix}
`

// A mesh is one hop: client, outbound sidecar, mutual TLS, inbound sidecar, app.
type mesh struct {
	CA *identitytest.CA
	// Server is the identity of payments.
	Server *identitytest.StaticSource
	// In and Out are the sidecars; Out is nil where a test has no use for it.
	In, Out *testkit.Sidecar
	// Front is where a client of the outbound sidecar connects, Port where the
	// inbound sidecar takes mutual TLS.
	Front, Port string
}

// meshOptions say what a mesh carries.
type meshOptions struct {
	// App is the address behind the inbound sidecar.
	App string
	// Protocol is "HTTP", "TCP" or, empty, detected; of both listeners.
	Protocol string
	// Policies are added to the rule that checkout may do anything.
	Policies string
	// Calling is added to the spec of the outbound sidecar, Serving to that of the
	// inbound one.
	Calling, Serving string
	// Carrier is what the hop between the two goes over; TCP when zero.
	Carrier carrier
}

// A carrier is what can carry the hop: its name, and what it takes in YAML. Tests
// that must hold over each of them run once for every one.
type carrier struct {
	name string
	// destination are fields of the destination, once the inbound sidecar runs; none
	// when nil.
	destination func(m *mesh) string
	// calling and serving are added to the specs of the two sidecars.
	calling, serving string
}

func carriers() []carrier {
	return []carrier{
		{name: "TCP"},
	}
}

func startMesh(t *testing.T, opts meshOptions) *mesh {
	t.Helper()
	m := startInbound(t, opts)
	m.Out = m.outboundOver(t, opts.Carrier, m.Port, opts.Protocol, opts.Calling)
	m.Front = m.Out.Address(t, "front")
	return m
}

func newCA(t *testing.T) *identitytest.CA {
	t.Helper()
	return identitytest.NewCA(t, "example.org")
}

// startInbound starts the receiving half of a mesh only.
func startInbound(t *testing.T, opts meshOptions) *mesh {
	t.Helper()
	m := &mesh{CA: newCA(t)}
	m.Server = m.CA.Source(t, payments)
	m.In = testkit.Start(t, testkit.Options{
		Name: "payments", Labels: map[string]string{"app": "payments"}, Source: m.Server,
		Policies: allowCheckout + opts.Policies,
		YAML:     `  inbound: [{name: port, listen: "127.0.0.1:0", forward: "` + opts.App + `"` + protocolField(opts.Protocol) + "}]\n" + opts.Serving + opts.Carrier.serving,
	})
	m.Port = m.In.Address(t, "port")
	return m
}

// outbound starts a calling sidecar with the identity of checkout. The
// destination must prove that it is payments.
func (m *mesh) outbound(t *testing.T, destination, protocol, spec string) *testkit.Sidecar {
	t.Helper()
	return m.outboundOver(t, carrier{}, destination, protocol, spec)
}

func (m *mesh) outboundOver(t *testing.T, over carrier, destination, protocol, spec string) *testkit.Sidecar {
	t.Helper()
	var fields string
	if over.destination != nil {
		fields = over.destination(m)
	}
	return testkit.Start(t, testkit.Options{
		Name: "checkout", Source: m.CA.Source(t, checkout),
		YAML: `  outbound: [{name: front, listen: "127.0.0.1:0", destination: payments` + protocolField(protocol) + `}]
  destinations: [{name: payments, addresses: ["` + destination + `"], spiffeIDs: ["` + payments + `"]` + fields + "}]\n" + over.calling + spec,
	})
}

func protocolField(protocol string) string {
	if protocol == "" {
		return ""
	}
	return ", protocol: " + protocol
}

// issue gives out an SVID as a workload would get it.
func (m *mesh) issue(t *testing.T, id string) *x509svid.SVID {
	t.Helper()
	svid, err := m.CA.Issue(identitytest.ID(t, id), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

// clientTLS is the configuration of a plain SPIFFE client, as go-spiffe makes it.
func (m *mesh) clientTLS(t *testing.T, id string, nextProtos ...string) *tls.Config {
	t.Helper()
	config := tlsconfig.MTLSClientConfig(m.issue(t, id), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, payments)))
	config.NextProtos = nextProtos
	return config
}

// pemFiles are an identity as programs other than ours want it.
type pemFiles struct{ Cert, Key, Bundle string }

func (m *mesh) pemFiles(t *testing.T, id string) pemFiles {
	t.Helper()
	cert, key, err := m.issue(t, id).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := m.CA.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return pemFiles{
		Cert:   writeFile(t, filepath.Join(dir, "svid.pem"), cert),
		Key:    writeFile(t, filepath.Join(dir, "key.pem"), key),
		Bundle: writeFile(t, filepath.Join(dir, "bundle.pem"), bundle),
	}
}

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs a Go server of HTTP/1.1 and, without TLS, of HTTP/2 until the test ends and returns its address.
func serve(t *testing.T, app http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(app)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// listen opens a port on loopback until the test ends.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

// newTLSServer is a Go server with a TLS configuration of somebody else's.
func newTLSServer(app http.Handler, config *tls.Config, protos []string) *httptest.Server {
	config.NextProtos = protos
	s := httptest.NewUnstartedServer(app)
	s.Listener = tls.NewListener(s.Listener, config)
	s.Start()
	return s
}

// dial connects until the test ends. Reads and writes end after patience.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc.(*net.TCPConn)
}
