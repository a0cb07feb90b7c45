package conformance_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func curlCases(big []byte, inspected bool) []curlCase {
	small := []byte(smallBody)
	return slices.Concat(
		curlBodies(big, small), curlExpectations(big, small, inspected), curlOldVersion(small),
		curlConnections(), curlCodings(), curlHeads(), curlUpgrades(),
	)
}

func curlBodies(big, small []byte) []curlCase {
	return []curlCase{
		{"a GET", "{front}/greeting", nil, says(200, greeting)},
		{"a HEAD has the length and no body", "--head {front}/greeting", nil, contains(200, "HTTP/1.1 200", "content-length: 93", "accept-ranges: bytes")},
		{"a POST of a form", "-d a=1&b=2 {front}/echo", nil, body("POST", []byte("a=1&b=2"))},
		{"a POST without a byte", "-d  {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if f.Method != "POST" || f.Length != 0 || f.Size != 0 {
				t.Errorf("saw %s with length %d", f.Method, f.Length)
			}
		})},
		{"a POST of JSON from a file", "-H content-type:application/json --data-binary @{small} {front}/echo", nil, body("POST", small)},
		{"a POST of 10 MB", "-H content-type:application/octet-stream --data-binary @{big} {front}/echo", nil, body("POST", big)},
		{"a POST of parts", "-F field=value -F file=@{small} {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if !strings.HasPrefix(f.Header.Get("Content-Type"), "multipart/form-data") || f.Size != f.Length {
				t.Errorf("saw %q with %d of %d bytes", f.Header.Get("Content-Type"), f.Size, f.Length)
			}
		})},
		{"a PUT of a small file", "-T {small} {front}/echo", nil, body("PUT", small)},
		{"a PUT of 10 MB", "-T {big} {front}/echo", nil, body("PUT", big)},
		{"a chunked PUT of 10 MB", "-T - {front}/echo", big, chunked(big)},
		{"a chunked PUT of a few bytes", "-T - {front}/echo", small, chunked(small)},
		{"a chunked PUT of nothing", "-T - {front}/echo", nil, chunked(nil)},
		{"a chunked PUT as it becomes available", "-T . {front}/echo", small, chunked(small)},
		{"a DELETE", "-X DELETE {front}/echo/1", nil, body("DELETE", nil)},
		{"a PATCH", "-X PATCH -d x {front}/echo/1", nil, body("PATCH", []byte("x"))},
		{"a method nobody has registered", "-X FROBNICATE {front}/echo", nil, body("FROBNICATE", nil)},
	}
}

func chunked(want []byte) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		if f := r.arrived(t, "PUT", want); !f.Chunked || f.Length != -1 {
			t.Errorf("the application saw length %d, chunked %v", f.Length, f.Chunked)
		}
	}
}

func curlExpectations(big, small []byte, inspected bool) []curlCase {
	refused := func(t *testing.T, r curlRun) {
		t.Helper()
		r.answered(t, http.StatusRequestEntityTooLarge)
		// Inspection asks for the body itself, before the application is asked.
		if n := r.Transfers[0].Uploaded; !inspected && n >= int64(len(big)) {
			t.Errorf("curl sent %d bytes that nobody wanted", n)
		}
	}
	// curl gives up waiting for 100 after a second; it is told to wait longer
	// than a test may take.
	return []curlCase{
		{"a small body that waits for 100", "--expect100-timeout 60 -H expect:100-continue -d @{small} {front}/echo", nil, body("POST", small)},
		{"a body of 10 MB that waits for 100", "--expect100-timeout 60 -T {big} {front}/echo", nil, body("PUT", big)},
		{"a chunked body that waits for 100", "--expect100-timeout 60 -H expect:100-continue -T - {front}/echo", small, chunked(small)},
		{"a 100 is passed on", "--expect100-timeout 60 -i -T {big} {front}/echo", nil, contains(200, "HTTP/1.1 100 Continue\r\n", "HTTP/1.1 200 OK\r\n")},
		{"an expectation that is refused", "--expect100-timeout 60 -T {big} {front}/refuse", nil, refused},
		{"a refusal during the upload", "-H expect: -T {big} {front}/refuse", nil, status(http.StatusRequestEntityTooLarge)},
	}
}

func curlOldVersion(small []byte) []curlCase {
	return []curlCase{
		{"HTTP/1.0", "--http1.0 {front}/greeting", nil, says(200, greeting)},
		{"HTTP/1.0 with a body", "--http1.0 -T {small} {front}/echo", nil, body("PUT", small)},
		{"HTTP/1.0 is not answered in chunks", "--http1.0 --raw {front}/stream", nil, says(200, greeting)},
		{"HTTP/1.0 sees no interim answer", "--http1.0 -i {front}/hints", nil, func(t *testing.T, r curlRun) {
			contains(200, "HTTP/1.1 200", greeting)(t, r)
			if bytes.Contains(r.Out, []byte("103")) {
				t.Errorf("an interim answer to HTTP/1.0: %q", r.Out)
			}
		}},
		{"HTTP/1.0 that keeps its connection", "--http1.0 -H connection:keep-alive {front}/greeting {front}/greeting", nil, func(t *testing.T, r curlRun) {
			says(200, greeting+greeting)(t, r)
			connections(1)(t, r)
		}},
	}
}

func curlConnections() []curlCase {
	return []curlCase{
		{"several URLs over one connection", "{front}/greeting {front}/stream {front}/nothing {front}/gzip {front}/broken", nil, connections(1)},
		{"the application's wish to close is its own", "{front}/close {front}/greeting {front}/close", nil, connections(1)},
		{"a client that closes", "-H connection:close {front}/greeting {front}/greeting", nil, connections(2)},
		{"twenty at once", "--parallel --parallel-immediate {front}/greeting?[1-20]", nil, says(200, strings.Repeat(greeting, 20))},
		{"a redirect", "--location {front}/redirect", nil, says(200, greeting)},
		{"no content", "{front}/nothing", nil, says(204, "")},
		{"a failure of the application", "{front}/broken", nil, says(500, "broken\n")},
	}
}

// connections returns a check of how many connections curl needed for its URLs.
func connections(want int) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		if r.Exit != 0 || len(r.Transfers) < 2 {
			t.Fatalf("curl ended with %d after %d transfers: %s", r.Exit, len(r.Transfers), r.Said)
		}
		sum := 0
		for _, one := range r.Transfers {
			sum += one.Connects
		}
		if sum != want {
			t.Errorf("curl opened %d connections for %d URLs, want %d", sum, len(r.Transfers), want)
		}
	}
}

func curlCodings() []curlCase {
	return []curlCase{
		{"a compressed answer", "--compressed {front}/gzip", nil, says(200, greeting)},
		{"a compressed answer, as it came", "-i -H accept-encoding:gzip {front}/gzip", nil, contains(200, "content-encoding: gzip", "\x1f\x8b")},
		{"nothing is compressed unasked", "{front}/gzip", nil, says(200, greeting)},
		{"a chunked answer", "{front}/stream", nil, says(200, greeting)},
		{"trailers", "-i {front}/stream", nil, contains(200, "transfer-encoding: chunked", "x-sum: "+digest([]byte(greeting)))},
		{"early hints", "-i {front}/hints", nil, contains(200, "HTTP/1.1 103 Early Hints\r\n", "link: </style.css>", "HTTP/1.1 200 OK\r\n")},
		{"a range", "-r 2-9 {front}/greeting", nil, says(206, greeting[2:10])},
		{"a range from the end", "-r -5 {front}/greeting", nil, says(206, greeting[len(greeting)-5:])},
		{"several ranges", "-i -r 0-1,5-6 {front}/greeting", nil, contains(206, "multipart/byteranges", "bytes 0-1/93\r\n", "\r\n\r\net\r\n")},
		{"not modified", "-i -z 20240101 {front}/greeting", nil, contains(304, "HTTP/1.1 304 Not Modified\r\n")},
	}
}

func curlHeads() []curlCase {
	return []curlCase{
		{"a target comes as it was written", "{front}/echo/a%20b?x=%2F%2f&y==&&z", nil, saw(func(t *testing.T, f facts) {
			if want := "/echo/a%20b?x=%2F%2f&y==&&z"; f.Target != want {
				t.Errorf("target %q, want %q", f.Target, want)
			}
		})},
		{"dot segments are resolved", "--path-as-is {front}/secret/../echo/./x", nil, saw(func(t *testing.T, f facts) {
			if f.Target != "/echo/x" {
				t.Errorf("target %q", f.Target)
			}
		})},
		{"the Host of the client", "-H host:payments.shop {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if f.Host != "payments.shop" {
				t.Errorf("host %q", f.Host)
			}
		})},
		{"several cookies", "-i {front}/cookies", nil, contains(200, "set-cookie: a=1; path=/\r\n", "set-cookie: b=2; path=/\r\n")},
		{"a head of 20 KB", "-H x-large:" + strings.Repeat("x", 20<<10) + " {front}/echo", nil, saw(func(t *testing.T, f facts) {
			if n := len(f.Header.Get("X-Large")); n != 20<<10 {
				t.Errorf("%d bytes arrived", n)
			}
		})},
		{"a head of 100 KB", "-H x-large:" + strings.Repeat("x", 100<<10) + " {front}/echo", nil, status(http.StatusRequestHeaderFieldsTooLarge)},
		{"who calls", "-H x-outrider-peer:spiffe://evil -H x-forwarded-client-cert:URI=spiffe://evil {front}/echo", nil, saw(identified)},
		{"OPTIONS for the server as a whole", "-i -X OPTIONS --request-target * {front}", nil, contains(200, "content-length: 0\r\n")},
	}
}

func identified(t *testing.T, f facts) {
	if got := f.Header.Values("X-Outrider-Peer"); len(got) != 1 || got[0] != checkout {
		t.Errorf("x-outrider-peer is %q", got)
	}
	if got := f.Header.Values("X-Forwarded-Client-Cert"); len(got) != 1 || !strings.Contains(got[0], checkout) || strings.Contains(got[0], "evil") {
		t.Errorf("x-forwarded-client-cert is %q", got)
	}
}

func curlUpgrades() []curlCase {
	return []curlCase{
		{"an upgrade to HTTP/2 is not taken up", "--http2 {front}/echo", nil, func(t *testing.T, r curlRun) {
			f := r.arrived(t, "GET", nil)
			if r.Transfers[0].Version != "1.1" || f.Proto != "HTTP/1.1" {
				t.Errorf("curl spoke HTTP/%s, the application %s", r.Transfers[0].Version, f.Proto)
			}
		}},
		{"HTTP/2 with prior knowledge is carried as it is", "--http2-prior-knowledge {front}/echo", nil, func(t *testing.T, r curlRun) {
			f := r.arrived(t, "GET", nil)
			if r.Transfers[0].Version != "2" || f.Proto != "HTTP/2.0" {
				t.Errorf("curl spoke HTTP/%s, the application %s", r.Transfers[0].Version, f.Proto)
			}
		}},
		{"it is not a forward proxy", "-x {front} http://example.org/echo", nil, status(http.StatusBadRequest)},
		{"it opens no tunnels", "-x {front} --proxytunnel http://example.org/echo", nil, func(t *testing.T, r curlRun) {
			if r.Exit == 0 || len(r.Transfers) != 1 {
				t.Errorf("curl ended with %d: %q", r.Exit, r.Out)
			}
		}},
	}
}
