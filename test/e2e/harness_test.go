package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
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
const patience = 20 * time.Second

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
	// policies are documents, or directory holds them.
	policies, directory string
	notReady            bool
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
		fmt.Fprintf(&b, "  destinations: [{name: peer, addresses: [\"%s\"], spiffeIDs: [%q]}]\n",
			strings.Join(s.to, `", "`), server)
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

// newPair starts both, and lets the caller in unless in has policies.
func newPair(t testing.TB, in, out side) *pair {
	t.Helper()
	p := &pair{ca: identitytest.NewCA(t, "example.org")}
	p.inID, p.outID = p.ca.Source(t, payments), p.ca.Source(t, checkout)
	in.source, out.source = p.inID, p.outID
	if in.policies == "" && in.directory == "" {
		in.policies = allowMesh
	}
	p.in = in.start(t)
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

// A wire is a connection on which a test speaks for itself.
type wire struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newWire(t testing.TB, c net.Conn) *wire {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{Conn: c, t: t, r: bufio.NewReader(c)}
}

// dial connects in plaintext.
func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, c)
}

// dialMesh connects as a peer that shows the identity of src and offers these
// protocols.
func dialMesh(t testing.TB, addr string, src identity.Source, protocols ...string) *wire {
	t.Helper()
	w, err := tryMesh(t, addr, src, protocols...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tryMesh(t testing.TB, addr string, src identity.Source, protocols ...string) (*wire, error) {
	t.Helper()
	cfg := mtls.ClientConfig(src, mtls.ClientOptions{Expected: expect(t, payments), NextProtos: protocols})
	return tryTLS(t, addr, cfg)
}

func tryTLS(t testing.TB, addr string, cfg *tls.Config) (*wire, error) {
	t.Helper()
	w := dial(t, addr)
	tc := tls.Client(w.Conn, cfg)
	if err := tc.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	return newWire(t, tc), nil
}

func expect(t testing.TB, id string) mtls.Expected {
	t.Helper()
	e, err := mtls.NewExpected(identitytest.ID(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// h1 is what an Outrider offers for HTTP.
const h1 = hop.ALPNHTTP1

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatalf("sending %.40q: %v", text, err)
	}
}

// An answer is a response, and how its body ended.
type answer struct {
	*http.Response
	body string
	err  error // of the body: nil if it was complete
}

// answer reads a response.
func (w *wire) answer() answer {
	w.t.Helper()
	a, err := w.tryAnswer()
	if err != nil {
		w.t.Fatalf("reading an answer: %v", err)
	}
	return a
}

func (w *wire) tryAnswer() (answer, error) {
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{Response: res, body: string(b), err: err}, nil
}

// get asks for a path.
func (w *wire) get(path string) answer {
	w.t.Helper()
	w.send("GET " + path + " HTTP/1.1\r\nHost: payments\r\n\r\n")
	return w.answer()
}

// ended waits for the end of the connection and returns what came before it; err
// is nil for an orderly end.
func (w *wire) ended() (rest string, err error) {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("the connection did not end; it said %.200q", b)
	}
	return string(b), err
}

// closeWrite ends the sending side.
func (w *wire) closeWrite() {
	w.t.Helper()
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		w.t.Fatal(err)
	}
}

// wants fails the test unless the answer has this status.
func (a answer) wants(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status || a.err != nil {
		t.Fatalf("status %d (body %.300q, %v), want %d", a.StatusCode, a.body, a.err, status)
	}
	return a
}

// refused fails the test unless the answer is a refusal of ours with this status
// and reason.
func (a answer) refused(t testing.TB, status int, reason string) answer {
	t.Helper()
	a.wants(t, status)
	want := `details="` + reason + `"`
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, "outrider; error=") || !strings.Contains(got, want) {
		t.Fatalf("Proxy-Status %q, want %q in it", got, want)
	}
	if !strings.Contains(a.body, reason) {
		t.Fatalf("the body %q does not name the reason %q", a.body, reason)
	}
	return a
}

// scrape returns the exposition of a sidecar's metrics.
func scrape(t testing.TB, s *testkit.Sidecar) string {
	t.Helper()
	_, text := httpGet(t, "http://"+s.MetricsAddress()+"/metrics")
	return text
}

// httpGet asks one of the sidecar's own ports.
func httpGet(t testing.TB, url string) (status int, body string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// metric adds up the series of a metric whose labels contain all of these.
func metric(t testing.TB, s *testkit.Sidecar, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(scrape(t, s)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || series != name && !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// counted waits until a metric has reached least; records and counts are made
// after the answer.
func counted(t testing.TB, s *testkit.Sidecar, least float64, name string, labels ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%s%v >= %v", name, labels, least), func() bool {
		return metric(t, s, name, labels...) >= least
	})
}

// ready asks the health port, which names what is missing.
func ready(t testing.TB, s *testkit.Sidecar) (ok bool, missing string) {
	t.Helper()
	status, body := httpGet(t, "http://"+s.HealthAddress()+"/healthz/ready")
	return status == http.StatusOK, body
}

// field walks a decoded record.
func field(r map[string]any, path ...string) any {
	var v any = r
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}
