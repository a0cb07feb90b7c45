package conformance_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity/identitytest"
)

// An inbound sidecar is called without a sidecar on the other side: curl with an
// SVID is a SPIFFE client like any other. curl can't check the SPIFFE ID of the
// server, which has no host name to be compared, so the server's key is pinned.
func TestCurlWithoutASidecar(t *testing.T) {
	program(t, "curl")
	m := startInbound(t, meshOptions{App: serve(t, app())})
	foreign := &mesh{CA: identitytest.NewCA(t, "example.com")}
	big := random(bigSize)
	names := strings.NewReplacer(
		"{port}", "https://"+m.Port, "{plain}", "http://"+m.Port,
		"{checkout}", tlsArguments(t, m, checkout), "{intruder}", tlsArguments(t, m, intruder),
		"{foreign}", tlsArguments(t, foreign, strings.Replace(checkout, "example.org", "example.com", 1)),
		"{pin}", "--pinnedpubkey "+pin(m.Server.Current().SVID),
		"{big}", writeFile(t, filepath.Join(t.TempDir(), "big"), big),
	)
	ran := 0
	for _, c := range slices.Concat(curlAccepted(big), curlRefused()) {
		ran++
		t.Run(c.name, func(t *testing.T) {
			c.check(t, curl(t, c.stdin, strings.Split(names.Replace(c.args), " ")...))
		})
	}
	atLeast(t, "calls of curl", ran, 18)
}

func curlAccepted(big []byte) []curlCase {
	return []curlCase{
		{"declaring HTTP/1.1", "{checkout} {pin} --http1.1 {port}/greeting", nil, says(200, greeting)},
		{"declaring nothing", "{checkout} {pin} --no-alpn {port}/greeting", nil, says(200, greeting)},
		{"preferring HTTP/2", "{checkout} {pin} {port}/echo", nil, func(t *testing.T, r curlRun) {
			r.arrived(t, "GET", nil)
			if r.Transfers[0].Version != "1.1" {
				t.Errorf("HTTP/%s was spoken", r.Transfers[0].Version)
			}
		}},
		{"the application learns who called", "{checkout} {pin} {port}/echo", nil, saw(identified)},
		{"a body of 10 MB", "{checkout} {pin} -T {big} {port}/echo", nil, body("PUT", big)},
		{"a chunked body of 10 MB, nothing declared", "{checkout} {pin} --no-alpn -T - {port}/echo", big, chunked(big)},
		{"trailers", "{checkout} {pin} -i {port}/stream", nil, contains(200, "x-sum: "+digest([]byte(greeting)))},
		{"several URLs over one connection", "{checkout} {pin} {port}/greeting {port}/stream {port}/nothing", nil, connections(1)},
		{"HTTP/1.0", "{checkout} {pin} --http1.0 --no-alpn {port}/greeting", nil, says(200, greeting)},
		{"the older group for the keys", "{checkout} {pin} --curves X25519 {port}/greeting", nil, says(200, greeting)},
		{"a NIST group for the keys", "{checkout} {pin} --curves P-256 {port}/greeting", nil, says(200, greeting)},
		{"several at once", "{checkout} {pin} --parallel --parallel-immediate {port}/greeting?[1-10]", nil, says(200, strings.Repeat(greeting, 10))},
	}
}

func curlRefused() []curlCase {
	handshake := func(t *testing.T, r curlRun) {
		t.Helper()
		// 35: the handshake failed; 56: it was refused after the client took
		// it for complete, as TLS 1.3 allows; 55: while the request was sent.
		if r.Exit != 35 && r.Exit != 56 && r.Exit != 55 || len(r.Out) > 0 {
			t.Errorf("curl ended with %d (%s) and the answer %q", r.Exit, r.Said, r.Out)
		}
	}
	readable := func(t *testing.T, r curlRun) {
		t.Helper()
		contains(http.StatusForbidden, "mutual TLS", "proxy-status: outrider; error=", "x-outrider-decision: ")(t, r)
	}
	return []curlCase{
		{"plaintext is told why", "-i {plain}/greeting", nil, readable},
		{"plaintext with a body is told why", "-i -d a=1 {plain}/greeting", nil, readable},
		{"plaintext of HTTP/1.0 is told why", "-i --http1.0 {plain}/greeting", nil, readable},
		{"plaintext with 10 MB is told why", "-i -H expect: -T {big} {plain}/greeting", nil, func(t *testing.T, r curlRun) {
			if !bytes.Contains(r.Out, []byte("mutual TLS")) {
				t.Errorf("curl ended with %d (%s) and the answer %q", r.Exit, r.Said, r.Out)
			}
		}},
		{"no certificate", "--insecure {port}/greeting", nil, handshake},
		{"TLS 1.2", "{checkout} --tls-max 1.2 {port}/greeting", nil, handshake},
		{"a certificate of another trust domain", "{foreign} {port}/greeting", nil, handshake},
		{"an identity without permission", "-i {intruder} {port}/greeting", nil, contains(http.StatusForbidden, "x-outrider-decision: ", "access_denied")},
		{"an identity without permission, nothing declared", "-i --no-alpn {intruder} {port}/greeting", nil, contains(http.StatusForbidden, "access_denied")},
		{"the pin notices another server", "{checkout} --pinnedpubkey " + pin(nil) + " {port}/greeting", nil, func(t *testing.T, r curlRun) {
			if r.Exit != 90 {
				t.Errorf("curl ended with %d (%s)", r.Exit, r.Said)
			}
		}},
	}
}

func tlsArguments(t *testing.T, m *mesh, id string) string {
	t.Helper()
	f := m.pemFiles(t, id)
	return "--insecure --cert " + f.Cert + " --key " + f.Key
}

// pin is the key of a server as curl wants it; without an SVID it is nobody's.
func pin(svid *x509svid.SVID) string {
	var key []byte
	if svid != nil {
		key = svid.Certificates[0].RawSubjectPublicKeyInfo
	}
	sum := sha256.Sum256(key)
	return "sha256//" + base64.StdEncoding.EncodeToString(sum[:])
}
