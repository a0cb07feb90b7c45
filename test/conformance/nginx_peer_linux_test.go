package conformance_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// nginxCaller is nginx as the client of an inbound sidecar, with an SVID of its
// own. It can't check a SPIFFE ID, so it does not verify the server.
const nginxCaller = `
  upstream payments { server {port}; keepalive 8; }
  proxy_ssl_certificate {cert};
  proxy_ssl_certificate_key {key};
  proxy_ssl_protocols TLSv1.3;
  proxy_ssl_session_reuse on;
  client_max_body_size 0;
  server {
    listen {listen0};
    location / {
      proxy_pass https://payments;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
    location /echo/streamed { proxy_pass https://payments; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; }
    location /echo/old { proxy_pass https://payments; proxy_http_version 1.0; }
  }
`

func TestNginxCallsASidecar(t *testing.T) {
	m := startInbound(t, meshOptions{App: serve(t, app())})
	front := func(id string) string {
		files := m.pemFiles(t, id)
		_, addrs := nginx(t, 1, nginxCaller, "{port}", m.Port, "{cert}", files.Cert, "{key}", files.Key)
		return "http://" + addrs[0]
	}
	client := newClient(t)
	upload := random(bigSize)
	sum := []byte(`"SHA256":"` + digest(upload) + `"`)
	allowed, denied := front(checkout), front(intruder)
	ran := 0
	for _, x := range []exchange{
		{name: "a GET", path: "/greeting", status: 200, want: []byte(greeting)},
		{name: "a HEAD", method: "HEAD", path: "/greeting", status: 200, want: []byte{}},
		{name: "an answer in chunks", path: "/stream", status: 200, want: []byte(greeting)},
		{name: "a range", path: "/greeting", header: "Range: bytes=2-9", status: 206, want: []byte(greeting[2:10])},
		{name: "no content", path: "/nothing", status: 204, want: []byte{}},
		{name: "a failure", path: "/broken", status: 500, want: []byte("broken\n")},
		{name: "an application that closes", path: "/close", status: 200, want: []byte(greeting)},
		{name: "a compressed answer", path: "/gzip", header: "Accept-Encoding: gzip", status: 200, answers: "Content-Encoding: gzip"},
	} {
		ran++
		t.Run(x.name, func(t *testing.T) { x.run(t, client, allowed) })
	}
	for _, path := range []string{"/echo", "/echo/streamed", "/echo/old"} {
		ran++
		t.Run("10 MB to "+path, func(t *testing.T) {
			res, err := client.Post(allowed+path, "application/octet-stream", strings.NewReader(string(upload)))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			answer, err := io.ReadAll(res.Body)
			if err != nil || !strings.Contains(string(answer), string(sum)) {
				t.Errorf("status %d, %v, the application saw %.200q", res.StatusCode, err, answer)
			}
		})
	}
	t.Run("the application learns that checkout called", func(t *testing.T) {
		res, err := client.Get(allowed + "/echo")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		identified(t, parseFacts(t, answer))
	})
	t.Run("without permission", func(t *testing.T) {
		exchange{path: "/greeting", status: 403, answers: "Proxy-Status: outrider; error=http_request_denied"}.run(t, client, denied)
	})
	for range 30 {
		exchange{path: "/greeting", status: 200, want: []byte(greeting)}.run(t, client, allowed)
	}
	atLeast(t, "exchanges with nginx as the client", ran+32, 40)
}

// nginxServer is nginx as a SPIFFE server without a sidecar. It tells what
// certificate the client showed.
const nginxServer = `
  server {
    listen {listen0} ssl;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_client_certificate {bundle};
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_protocols TLSv1.3;
    root {dir}/html;
    client_max_body_size 0;
    add_header x-protocol $ssl_protocol;
    add_header x-alpn $ssl_alpn_protocol;
    add_header x-verified $ssl_client_verify;
    add_header x-resumed $ssl_session_reused;
    location = /certificate { return 200 $ssl_client_escaped_cert; }
    location = /body { proxy_pass http://{echo}; }
    location / { }
  }
`

func TestASidecarCallsNginx(t *testing.T) {
	m := &mesh{CA: newCA(t)}
	start := func(id string) (front string, out *testkit.Sidecar, dir string) {
		files := m.pemFiles(t, id)
		dir, addrs := nginx(t, 1, nginxServer, "{cert}", files.Cert, "{key}", files.Key, "{bundle}", files.Bundle, "{echo}", serve(t, app()))
		out = m.outbound(t, addrs[0], "HTTP", "")
		return "http://" + out.Address(t, "front"), out, dir
	}
	front, _, dir := start(payments)
	text, largeSum := nginxFiles(t, dir)
	client := newClient(t)
	ran := 0
	for _, x := range []exchange{
		{name: "a file", path: "/text.txt", status: 200, want: text, answers: "X-Verified: SUCCESS"},
		{name: "TLS 1.3", path: "/text.txt", status: 200, answers: "X-Protocol: TLSv1.3"},
		{name: "HTTP/1.1 is agreed upon", path: "/text.txt", status: 200, answers: "X-Alpn: http/1.1"},
		{name: "a HEAD", method: "HEAD", path: "/text.txt", status: 200, want: []byte{}},
		{name: "a range", path: "/text.txt", header: "Range: bytes=10-19", status: 206, want: text[10:20]},
		{name: "what is missing", path: "/missing", status: 404},
		{name: "a method that is not allowed", method: "POST", path: "/text.txt", body: []byte("x"), status: 405},
	} {
		ran++
		t.Run(x.name, func(t *testing.T) { x.run(t, client, front) })
	}
	for range 30 {
		exchange{path: "/text.txt", status: 200, want: text}.run(t, client, front)
	}
	t.Run("nginx saw the SVID of checkout", func(t *testing.T) { sawCertificate(t, client, front) })
	t.Run("a file of 50 MB", func(t *testing.T) { largeAnswer(t, client, front, largeSum) })
	t.Run("10 MB to nginx", func(t *testing.T) {
		upload := random(bigSize)
		res, err := client.Post(front+"/body", "application/octet-stream", strings.NewReader(string(upload)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		if f := parseFacts(t, answer); f.SHA256 != digest(upload) {
			t.Errorf("%d bytes of %d arrived", f.Size, len(upload))
		}
	})
	t.Run("a server that is somebody else", func(t *testing.T) {
		other, out, _ := start(intruder)
		exchange{path: "/text.txt", status: 502, answers: "Proxy-Status: outrider; error=tls_certificate_error"}.run(t, client, other)
		r := out.Log.Await(t, "a refused server", func(r map[string]any) bool { return r["status"] == float64(502) })
		if r["reason"] == nil {
			t.Errorf("the log does not say why: %v", r)
		}
	})
	atLeast(t, "exchanges with nginx as the server", ran+30+4, 40)
}

// sawCertificate fails unless nginx was shown the SVID of checkout.
func sawCertificate(t *testing.T, client *http.Client, front string) {
	t.Helper()
	res, err := client.Get(front + "/certificate")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	escaped, _ := io.ReadAll(res.Body)
	text, err := url.QueryUnescape(strings.ReplaceAll(string(escaped), "+", "%2B"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no certificate: %.200q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != checkout {
		t.Errorf("nginx saw %v", cert.URIs)
	}
}
