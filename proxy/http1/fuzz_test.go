package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// The oracle is net/http. What we accept it accepts, and it means the same by
// it: we may be stricter, never more lenient. Where net/http itself is stricter
// than RFC 9112, or changes a message while reading, an exception is named here
// and nowhere else.

// stricterOracle tells whether err is one of the refusals of net/http that the
// RFC does not ask for.
func stricterOracle(err error) bool {
	// The Trailer field announces names. Nothing says that a message with one
	// that must not be a trailer is to be refused; the trailer itself is dropped.
	return strings.Contains(err.Error(), "bad trailer key")
}

// FuzzRequestMeansTheSame reads one request, forwards it, and compares what the
// next hop got with what net/http makes of the bytes of the client.
func FuzzRequestMeansTheSame(f *testing.F) {
	for _, table := range [][]messageCase{
		refusedRequestLines, refusedRequestFields, refusedRequestFraming, refusedChunks, acceptedRequests, forwardedCases,
	} {
		for _, c := range table {
			if len(c.raw) < 10_000 {
				f.Add([]byte(c.raw))
			}
		}
	}
	f.Add([]byte(get("Pragma: no-cache\r\nTrailer: A\r\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, sent := forwardOne(t, data)
		if ours.err != nil {
			return
		}
		want, body, err := oracleRequest(data)
		if err != nil {
			if !stricterOracle(err) {
				t.Fatalf("accepted what net/http refuses: %v", err)
			}
			return
		}
		if ours.method != want.Method || ours.target != want.RequestURI || ours.host != want.Host {
			t.Errorf("read %q %q %q, net/http %q %q %q", ours.method, ours.target, ours.host, want.Method, want.RequestURI, want.Host)
		}
		if ours.body != body {
			t.Errorf("body %q, net/http %q", ours.body, body)
		}
		got, gotBody, err := oracleRequest([]byte(sent))
		if err != nil {
			t.Fatalf("net/http refuses what we sent: %v\n%q", err, sent)
		}
		if got.Method != want.Method || got.RequestURI != want.RequestURI || got.Host != want.Host {
			t.Errorf("sent %q %q %q, want %q %q %q", got.Method, got.RequestURI, got.Host, want.Method, want.RequestURI, want.Host)
		}
		if gotBody != body {
			t.Errorf("sent body %q, want %q", gotBody, body)
		}
		compareFields(t, got.Header, want.Header)
		compareTrailers(t, got.Trailer, want.Trailer)
	})
}

// forwardOne reads the first request of data, body included, and forwards it.
func forwardOne(t testing.TB, data []byte) (received, string) {
	// The body may be looked at before it is forwarded.
	server := NewServer(ServerOptions{Limits: testLimits(), Buffers: new(Buffers)})
	upstream := &scriptConn{segments: whole("HTTP/1.1 204 No Content\r\n\r\n")}
	pool := poolOf(t, testLimits(), upstream)
	r := received{err: errNoMore}
	_ = server.NewConn(&scriptConn{segments: whole(string(data))}).Serve(func(x *Exchange) {
		if x.Err != nil {
			r.err = x.Err
			return
		}
		r = received{method: x.Request.Method, target: x.Request.Target, host: x.Request.Host}
		prefix, complete, err := x.Body.Peek(testLimits().BodyBytes + 1)
		if r.err = err; err != nil {
			return
		}
		if !complete {
			t.Errorf("a body of %d bytes is not complete behind its end", len(prefix))
		}
		r.body = string(prefix)
		up, err := pool.Get(t.Context(), x.Started)
		if err != nil {
			t.Error(err)
			return
		}
		if _, f := x.Forward(up, &message.Edits{}); f != nil {
			t.Error(f)
		}
		x.Abort() // one is enough
	})
	return r, upstream.sent.String()
}

func oracleRequest(data []byte) (*http.Request, string, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(r.Body)
	return r, string(body), err
}

// compareFields compares what passed a hop with what came to it.
func compareFields(t *testing.T, got, came http.Header) {
	t.Helper()
	got, want := got.Clone(), came.Clone()
	for name := range came {
		if endsHere(came, name) {
			want.Del(name)
		}
	}
	// What we add on our own account.
	for _, name := range []string{"Connection", "Upgrade", "Te"} {
		got.Del(name)
	}
	// net/http moves it away from a message with chunks, which an answer may be
	// on one side of us only.
	got.Del("Trailer")
	want.Del("Trailer")
	// We drop an expectation that can't be, of a request without a body.
	if got.Get("Expect") == "" {
		want.Del("Expect")
	}
	// net/http adds Cache-Control to Pragma, which may itself have ended here.
	if came.Get("Pragma") == "no-cache" {
		got.Del("Cache-Control")
		want.Del("Cache-Control")
	}
	if diff := cmp.Diff(map[string][]string(want), map[string][]string(got)); diff != "" {
		t.Errorf("fields (- came, + passed):\n%s", diff)
	}
}

// endsHere is RFC 9110 §7.6.1 and our reserved names, written a second time and
// in another way than the engine's.
func endsHere(h http.Header, name string) bool {
	name = strings.ToLower(name)
	hop := []string{
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "transfer-encoding", "upgrade",
	}
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			hop = append(hop, strings.ToLower(strings.Trim(option, " \t")))
		}
	}
	dashed := strings.ReplaceAll(name, "_", "-")
	return slices.Contains(hop, name) || dashed == "x-forwarded-client-cert" || strings.HasPrefix(dashed, "x-outrider-")
}

// compareTrailers: we drop some and change none. net/http lists those announced
// with no value.
func compareTrailers(t *testing.T, got, came http.Header) {
	t.Helper()
	for name, values := range got {
		if len(values) > 0 && !cmp.Equal(values, came[name]) {
			t.Errorf("trailer %s: %q, came as %q", name, values, came[name])
		}
	}
	for name, values := range came {
		if len(values) > 0 && len(got[name]) == 0 && message.KindOf(strings.ToLower(name)) == message.Plain && !message.ForbiddenTrailer([]byte(name)) {
			t.Errorf("trailer %s is lost", name)
		}
	}
}

// FuzzResponseMeansTheSame relays one response and compares what the client got
// with what net/http makes of the bytes of the next hop.
func FuzzResponseMeansTheSame(f *testing.F) {
	for _, table := range [][]messageCase{refusedResponses, cutResponses} {
		for _, c := range table {
			f.Add([]byte(c.raw), false)
		}
	}
	for _, c := range answers {
		f.Add([]byte(c.response), c.request == headRequest)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		request, method := get(""), http.MethodGet
		if head {
			request, method = headRequest, http.MethodHead
		}
		got := relay(t, testLimits(), request, whole(string(data)))
		if f := got.failure; f != nil && f.Unsent {
			return // refused, and the client can still be told
		}
		passed, passedBody, err := oracleResponse([]byte(got.toClient), method)
		if got.failure != nil {
			if err == nil {
				t.Errorf("failed with %v, and the client got a complete message: %q", got.failure, got.toClient)
			}
			return
		}
		if err != nil {
			t.Fatalf("net/http refuses what the client got: %v\n%q", err, got.toClient)
		}
		came, cameBody, err := oracleResponse(data, method)
		if err != nil {
			if !stricterOracle(err) {
				t.Fatalf("accepted what net/http refuses: %v", err)
			}
			return
		}
		if passed.StatusCode != came.StatusCode || passedBody != cameBody {
			t.Errorf("status %d and body %q, came as %d and %q", passed.StatusCode, passedBody, came.StatusCode, cameBody)
		}
		if strings.TrimRight(passed.Status, " ") != strings.TrimRight(came.Status, " ") {
			t.Errorf("status %q, came as %q", passed.Status, came.Status)
		}
		if came.StatusCode == http.StatusNoContent {
			came.Header.Del("Content-Length") // forbidden there
		}
		compareFields(t, passed.Header, came.Header)
		compareTrailers(t, passed.Trailer, came.Trailer)
	})
}

// oracleResponse reads the final response of data.
func oracleResponse(data []byte, method string) (*http.Response, string, error) {
	br := bufio.NewReader(bytes.NewReader(data))
	for {
		r, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return nil, "", err
		}
		if r.StatusCode/100 == 1 && r.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		return r, string(body), err
	}
}

// cutUp splits data where the bits of how say so.
func cutUp(data, how []byte) [][]byte {
	if len(how) == 0 {
		return whole(string(data))
	}
	var all [][]byte
	data = bytes.Clone(data)
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), 1+int(how[i%len(how)])%97)
		all = append(all, data[:n])
		data = data[n:]
	}
	return all
}

// FuzzSegmentsDoNotMatter reads a connection of pipelined requests at once and in
// pieces: what is read may not depend on how it arrived.
func FuzzSegmentsDoNotMatter(f *testing.F) {
	for _, table := range [][]messageCase{refusedChunks, acceptedRequests, refusedRequestFraming} {
		for i, c := range table {
			if len(c.raw) < 10_000 {
				f.Add([]byte(c.raw+get("")), []byte{byte(i), 0})
			}
		}
	}
	server := testServer(testLimits())
	f.Fuzz(func(t *testing.T, data, how []byte) {
		want := receive(server, whole(string(data)))
		got := receive(server, cutUp(data, how))
		// A body that is refused may have given out more or less of itself.
		for _, all := range [][]received{want, got} {
			if n := len(all); n > 0 && all[n-1].err != nil {
				all[n-1].body = ""
			}
		}
		same := cmp.AllowUnexported(received{})
		asText := cmp.Transformer("text", func(e error) string { return describe(e) })
		if diff := cmp.Diff(want, got, same, asText); diff != "" {
			t.Errorf("(- at once, + in pieces):\n%s", diff)
		}
	})
}

// FuzzBodyIsOneStream decodes chunks, in any segmentation and after any Peek:
// payload, trailers, error and the first byte behind are the same.
func FuzzBodyIsOneStream(f *testing.F) {
	for i, c := range refusedChunks {
		if _, body, ok := strings.Cut(c.raw, "\r\n\r\n"); ok && len(body) < 10_000 {
			f.Add([]byte(body), []byte{byte(i), 1, 2}, uint16(i))
		}
	}
	f.Add([]byte("5\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\nGET"), []byte{0}, uint16(5))
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), []byte{9}, uint16(5))
	f.Fuzz(func(t *testing.T, data, how []byte, peek uint16) {
		want, wantErr, wantTail := decode(t, whole(string(data)), -1)
		got, gotErr, gotTail := decode(t, cutUp(data, how), int64(peek))
		if describe(wantErr) != describe(gotErr) {
			t.Fatalf("at once: %v, in pieces: %v", wantErr, gotErr)
		}
		if wantErr == nil && (want != got || wantTail != gotTail) {
			t.Errorf("at once: %q and then %q, in pieces: %q and then %q", want, wantTail, got, gotTail)
		}
		if wantErr != nil && !strings.HasPrefix(want, got) && !strings.HasPrefix(got, want) {
			t.Errorf("at once: %q, in pieces: %q, and then %v", want, got, gotErr)
		}
	})
}

// decode reads a chunked body, and what is behind it.
func decode(t *testing.T, segments [][]byte, peek int64) (payload string, err error, behind string) { //nolint:revive,staticcheck // in the order of the stream
	c := &conn{net: &scriptConn{segments: segments}, buffers: new(Buffers)}
	var b Body
	b.reset(c, &bodyLimits{trailerBytes: 512, headerCount: 20, bytes: 1 << 16}, chunkedBody, 0)
	defer b.release()
	if peek >= 0 {
		prefix, complete, err := b.Peek(peek)
		if err == nil && int64(len(prefix)) > peek || complete && !b.ended {
			t.Errorf("Peek(%d) returned %d bytes, complete %v, ended %v", peek, len(prefix), complete, b.ended)
		}
	}
	for {
		p, err := b.Next()
		if err == nil && len(p) == 0 {
			t.Error("an empty piece")
		}
		payload += string(p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return payload, err, ""
		}
	}
	rest := bytes.Clone(c.unread())
	more, _ := io.ReadAll(c.net)
	return payload, nil, string(b.trailers) + "|" + string(rest) + string(more)
}
