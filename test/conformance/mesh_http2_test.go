package conformance_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/outrider-mesh/outrider/identity/identitytest"
)

// newHTTP2Client is a client of net/http that speaks nothing but HTTP/2, without TLS
// unless it is given a configuration.
func newHTTP2Client(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	client := newClient(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	transport := client.Transport.(*http.Transport)
	transport.Protocols, transport.TLSClientConfig = protocols, config
	client.Transport = staying{transport}
	return client
}

// staying keeps net/http from ending a connection that others of its requests are just
// about to use: it can't send those again.
type staying struct{ *http.Transport }

func (s staying) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Close = false
	return s.Transport.RoundTrip(r)
}

func TestNetHTTP2ThroughTwoSidecars(t *testing.T) {
	for _, over := range carriers() {
		for _, mode := range []struct {
			name     string
			mesh     meshOptions
			requests int
		}{
			{"declared", meshOptions{Protocol: "HTTP"}, 30},
			{"detected", meshOptions{}, 30},
			{"inspected", meshOptions{Policies: inspecting}, 5},
		} {
			t.Run(over.name+", "+mode.name, func(t *testing.T) {
				mode.mesh.App, mode.mesh.Carrier = serve(t, http.HandlerFunc(fulfil)), over
				m := startMesh(t, mode.mesh)
				flood(t, newHTTP2Client(t, nil), "http://"+m.Front, mode.requests)
				for _, r := range m.In.Log.Records(t) {
					if r["protocol"] != "http2" {
						t.Fatalf("a request of HTTP/2 came as %v", r)
					}
				}
			})
		}
	}
}

// The server answers before the upload is over. The client gets the answer, and the
// connection is there for the next request. (curl 7.88 takes that for an error.)
func TestAnswerDuringUploadOverHTTP2(t *testing.T) {
	m := startMesh(t, meshOptions{App: serve(t, app())})
	client := newHTTP2Client(t, nil)
	ran := 0
	for range 20 {
		ran++
		exchange{method: "PUT", path: "/refuse", body: make([]byte, 4<<20), status: http.StatusRequestEntityTooLarge}.run(t, client, "http://"+m.Front)
		exchange{path: "/greeting", status: 200, want: []byte(greeting)}.run(t, client, "http://"+m.Front)
	}
	atLeast(t, "uploads that nobody wanted", ran, 20)
}

// A plain SPIFFE workload that speaks HTTP/2 has no sidecar: not as the caller, and not
// as the one that is called.
func TestHTTP2WithGoSPIFFE(t *testing.T) {
	t.Run("as the client", func(t *testing.T) {
		m := startInbound(t, meshOptions{App: serve(t, http.HandlerFunc(fulfil))})
		flood(t, newHTTP2Client(t, m.clientTLS(t, checkout, "h2")), "https://"+m.Port, 12)
	})
	t.Run("as the server", func(t *testing.T) {
		m := &mesh{CA: newCA(t)}
		addr := serveHTTP2(t, http.HandlerFunc(fulfil), m)
		front := m.outbound(t, addr, "HTTP", "").Address(t, "front")
		flood(t, newHTTP2Client(t, nil), "http://"+front, 12)
	})
	t.Run("as a server that does not speak it", func(t *testing.T) {
		m := &mesh{CA: newCA(t)}
		server := newTLSServer(http.HandlerFunc(fulfil), tlsconfig.MTLSServerConfig(
			m.issue(t, payments), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, checkout))), []string{"http/1.1"})
		t.Cleanup(server.Close)
		front := m.outbound(t, server.Listener.Addr().String(), "HTTP", "").Address(t, "front")
		exchange{path: "/", status: http.StatusBadGateway}.run(t, newHTTP2Client(t, nil), "http://"+front)
	})
}

// serveHTTP2 runs a server of payments with go-spiffe's TLS and ALPN h2 alone.
func serveHTTP2(t *testing.T, app http.Handler, m *mesh) string {
	t.Helper()
	ln := listen(t)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	s := &http.Server{Handler: app, Protocols: protocols, ReadHeaderTimeout: patience, TLSConfig: tlsconfig.MTLSServerConfig(
		m.issue(t, payments), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, checkout)))}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.ServeTLS(ln, "", "") // that it was closed is no news
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return ln.Addr().String()
}

// http2Calls are calls of curl 7.88 and later, one for each connection: a second request
// over HTTP/2 without TLS is a framing error to 7.88, whatever the server.
func http2Calls(big []byte) []curlCase {
	return []curlCase{
		{"GET", "{front}/greeting", nil, says(200, greeting)},
		{"HEAD", "--head {front}/greeting", nil, contains(200, "HTTP/2 200", "content-length: 93")},
		{"a query", "{front}/echo?a=b%20c&d", nil, saw(func(t *testing.T, f facts) {
			if f.Target != "/echo?a=b%20c&d" || f.Proto != "HTTP/2.0" {
				t.Errorf("the application saw %+v", f)
			}
		})},
		{"POST", "-d @{small} {front}/echo", nil, body("POST", []byte(smallBody))},
		{"PUT of nothing", "-X PUT -d  {front}/echo", nil, body("PUT", nil)},
		{"DELETE", "-X DELETE {front}/echo", nil, body("DELETE", nil)},
		{"OPTIONS", "-X OPTIONS {front}/echo", nil, body("OPTIONS", nil)},
		{"10 MB up", "--data-binary @{big} {front}/echo", nil, body("POST", big)},
		{"10 MB up, length unknown", "-T - {front}/echo", big, body("PUT", big)},
		{"10 MB up, expecting 100", "-H Expect:100-continue -T {big} {front}/echo", nil, body("PUT", big)},
		{"a form of several parts", "-F a=b -F file=@{small} {front}/echo", nil, status(200)},
		{"trailers of the answer", "{front}/stream", nil, says(200, greeting)},
		{"early hints", "-i {front}/hints", nil, contains(200, "HTTP/2 103", "link: </style.css>; rel=preload", "HTTP/2 200")},
		{"204", "-i {front}/nothing", nil, contains(204, "HTTP/2 204")},
		{"a range", "-r 2-10 {front}/greeting", nil, says(206, greeting[2:11])},
		{"gzip", "--compressed {front}/gzip", nil, says(200, greeting)},
		{"two cookies set", "-i {front}/cookies", nil, contains(200, "set-cookie: a=1; Path=/", "set-cookie: b=2; Path=/")},
		{"two cookies sent", "-b a=1;b=2 {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if f.Header.Get("Cookie") != "a=1;b=2" {
				t.Errorf("the application saw %q", f.Header["Cookie"])
			}
		})},
		{"500", "{front}/broken", nil, status(500)},
		{"any path", "{front}/nowhere/at/all", nil, status(200)},
		{"a head of 20 KB", "-H X-Large:" + strings.Repeat("x", 20_000) + " {front}/echo", nil, status(200)},
		{"a head over the limit", "-H X-Large:" + strings.Repeat("x", 40_000) + " {front}/echo", nil, status(431)},
		{"another authority", "-H Host:shop.example:81 {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if f.Host != "shop.example:81" {
				t.Errorf("the application saw %q", f.Host)
			}
		})},
	}
}

func TestCurlOverHTTP2ThroughTwoSidecars(t *testing.T) {
	program(t, "curl")
	big := random(bigSize)
	for _, mode := range []struct{ name, policies string }{{"forwarded", ""}, {"inspected", inspecting}} {
		t.Run(mode.name, func(t *testing.T) {
			m := startMesh(t, meshOptions{App: serve(t, app()), Policies: mode.policies})
			dir := t.TempDir()
			names := strings.NewReplacer("{front}", "http://"+m.Front,
				"{big}", writeFile(t, filepath.Join(dir, "big"), big),
				"{small}", writeFile(t, filepath.Join(dir, "small"), []byte(smallBody)))
			ran := 0
			for _, c := range http2Calls(big) {
				ran++
				t.Run(c.name, func(t *testing.T) {
					r := curl(t, c.stdin, append([]string{"--http2-prior-knowledge"}, strings.Split(names.Replace(c.args), " ")...)...)
					c.check(t, r)
					for _, one := range r.Transfers {
						if one.Version != "2" {
							t.Errorf("it was HTTP/%s", one.Version)
						}
					}
				})
			}
			atLeast(t, "calls of curl over HTTP/2", ran, 23)
		})
	}
}

// A meshLine is a command line of a program of nghttp2; {front} is the outbound sidecar,
// {small} a small file. want is what its output must match.
type meshLine struct{ name, program, args, want string }

func meshLines() []meshLine {
	const all = `(\d+) total, \d+ started, \d+ done, \d+ succeeded, 0 failed, 0 errored, 0 timeout`
	return []meshLine{
		{"trailers of the request", "nghttp", "-v -d {small} --trailer x-up:yes {front}/echo", `"X-Up":\["yes"\]`},
		{"trailers of the answer", "nghttp", "-v {front}/stream", `x-sum: [0-9a-f]{64}`},
		{"padding", "nghttp", "-b 200 -d {small} {front}/echo", `"Size":16`},
		{"tiny windows", "nghttp", "-w 10 -W 11 -s -n -d {small} {front}/gzip", ` 200 `},
		{"no table for compression", "nghttp", "-c 0 {front}/echo", `"Method":"GET"`},
		{"a head in two frames", "nghttp", "--continuation {front}/echo", `"Method":"GET"`},
		{"no length", "nghttp", "--no-content-length -d {small} {front}/echo", `"Length":-1`},
		{"an expectation", "nghttp", "--expect-continue -d {small} {front}/echo", `"Size":16`},
		{"twenty at a time", "nghttp", "-m 20 -s -n {front}/greeting", ` 200 `},
		{"one by one", "h2load", "-c 1 -m 1 -n 200 {front}/greeting", all},
		{"a hundred at a time on each of four connections", "h2load", "-c 4 -m 100 -n 4000 {front}/greeting", all},
		{"bodies on sixteen connections", "h2load", "-c 16 -m 10 -n 2000 -d {small} {front}/echo", all},
		{"tiny windows, many streams", "h2load", "-c 2 -m 50 -w 10 -W 12 -n 1000 {front}/stream", all},
	}
}

func TestNghttp2ThroughTwoSidecars(t *testing.T) {
	m := startMesh(t, meshOptions{App: serve(t, app()), Protocol: "HTTP"})
	names := strings.NewReplacer("{front}", "http://"+m.Front, "{small}", writeFile(t, filepath.Join(t.TempDir(), "small"), []byte(smallBody)))
	ran := 0
	for _, c := range meshLines() {
		ran++
		t.Run(c.program+": "+c.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), program(t, c.program), strings.Split(names.Replace(c.args), " ")...).CombinedOutput()
			if err != nil || !regexp.MustCompile(c.want).Match(out) {
				t.Errorf("%v: %.800s does not match %s", err, out, c.want)
			}
		})
	}
	atLeast(t, "calls of nghttp and h2load", ran, 13)
}

// An application may offer to go on in HTTP/2 (RFC 7540 §3.2). RFC 9113 has removed that,
// and a server may ignore it: it is answered in HTTP/1.1 and nothing of the offer passed
// on.
func TestAnUpgradeToHTTP2IsNotTaken(t *testing.T) {
	for _, mode := range []struct{ name, policies string }{{"forwarded", ""}, {"inspected", inspecting}} {
		t.Run(mode.name, func(t *testing.T) {
			m := startMesh(t, meshOptions{App: serve(t, app()), Policies: mode.policies})
			ran := 0
			for _, c := range []struct{ name, head, body string }{
				{"GET", "GET /echo HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", ""},
				{"POST", "POST /echo HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 5\r\n\r\n", "hello"},
				{"without settings", "GET /echo HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", ""},
				{"capitals", "GET /echo HTTP/1.1\r\nHost: payments\r\nConnection: upgrade, http2-settings\r\nUpgrade: H2C\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", ""},
				{"among others", "GET /echo HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade\r\nUpgrade: h2c, other/1\r\n\r\n", ""},
			} {
				ran++
				t.Run(c.name, func(t *testing.T) {
					nc := dial(t, m.Front)
					io.WriteString(nc, c.head+c.body)
					r := bufio.NewReader(nc)
					for range 2 { // the connection goes on as it is
						res, err := http.ReadResponse(r, nil)
						if err != nil {
							t.Fatal(err)
						}
						b, err := io.ReadAll(res.Body)
						if err != nil || res.StatusCode != 200 || res.ProtoMajor != 1 {
							t.Fatalf("the answer is %v, %q, %v", res, b, err)
						}
						f := parseFacts(t, bytes.TrimSpace(b))
						for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
							if v := f.Header.Get(name); v != "" {
								t.Errorf("the application saw %s: %s", name, v)
							}
						}
						if f.Proto != "HTTP/1.1" {
							t.Errorf("the application saw %s", f.Proto)
						}
						fmt.Fprintf(nc, "GET /echo HTTP/1.1\r\nHost: payments\r\n\r\n")
					}
				})
			}
			atLeast(t, "offers of HTTP/2", ran, 5)
		})
	}
}
