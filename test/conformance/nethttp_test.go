package conformance_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

const (
	workers = 32
	seed    = 20260101
)

// A wish is one request as a client and a server of net/http agree on it: how
// large, how framed, with what around it. The server learns it from the headers
// and does its half of it.
type wish struct {
	method           string
	up, down         int // bytes of the bodies
	upChunked        bool
	downChunked      bool
	trailers, hints  bool // trailers on both bodies; 103 before the answer
	expect, hangUp   bool // Expect: 100-continue; Connection: close
	status, salt     int
	upBody, downBody []byte
}

// newWish draws from r. Sizes gather around those of buffers.
func newWish(r *rand.Rand) wish {
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	sizes := []int{0, 1, 15, 1 << 10, 4<<10 - 1, 4 << 10, 16<<10 + 1, 32 << 10, 100_000, 300_000}
	w := wish{
		method: methods[r.IntN(len(methods))], up: sizes[r.IntN(len(sizes))], down: sizes[r.IntN(len(sizes))],
		upChunked: r.IntN(2) == 0, downChunked: r.IntN(2) == 0, trailers: r.IntN(3) == 0, hints: r.IntN(5) == 0,
		expect: r.IntN(5) == 0, hangUp: r.IntN(20) == 0,
		status: []int{200, 200, 200, 201, 404, 500}[r.IntN(6)], salt: r.IntN(1 << 20),
	}
	if w.method == "GET" || w.method == "HEAD" || w.method == "OPTIONS" {
		w.up, w.upChunked, w.expect = 0, false, false
	}
	w.upBody, w.downBody = pattern(w.up, w.salt), pattern(w.down, w.salt+1)
	return w
}

// pattern is a body that is wrong if a byte is missing, doubled or moved.
func pattern(n, salt int) []byte {
	b := make([]byte, 0, n+16)
	for i := salt; len(b) < n; i++ {
		b = strconv.AppendInt(b, int64(i), 36)
		b = append(b, ' ')
	}
	return b[:n]
}

func (w wish) String() string {
	return fmt.Sprintf("%s up %d (chunked %v) down %d (chunked %v) status %d trailers %v hints %v expect %v close %v",
		w.method, w.up, w.upChunked, w.down, w.downChunked, w.status, w.trailers, w.hints, w.expect, w.hangUp)
}

// request is the client's half.
func (w wish) request(t *testing.T, url string) (*http.Request, error) {
	var body io.Reader
	switch {
	case w.upChunked:
		body = io.MultiReader(bytes.NewReader(w.upBody[:w.up/2]), bytes.NewReader(w.upBody[w.up/2:]))
	case w.up > 0:
		body = bytes.NewReader(w.upBody)
	}
	req, err := http.NewRequestWithContext(t.Context(), w.method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Down", strconv.Itoa(w.down))
	req.Header.Set("X-Status", strconv.Itoa(w.status))
	req.Header.Set("X-Salt", strconv.Itoa(w.salt+1))
	req.Header.Set("X-Up-Digest", digest(w.upBody))
	req.Header.Set("X-Frame", fmt.Sprintf("%v %v %v", w.downChunked, w.trailers, w.hints))
	if w.expect {
		req.Header.Set("Expect", "100-continue")
	}
	req.Close = w.hangUp
	if w.upChunked && w.trailers && w.up > 0 {
		req.Trailer = http.Header{"X-Up-Trailer": {digest(w.upBody)}}
	}
	return req, nil
}

// fulfil is the server's half. What it finds wrong it tells with status 599.
func fulfil(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || digest(body) != r.Header.Get("X-Up-Digest") {
		http.Error(rw, fmt.Sprintf("a body of %d bytes with another digest: %v", len(body), err), 599)
		return
	}
	if got, declared := r.Trailer.Get("X-Up-Trailer"), len(r.Trailer) > 0; declared && got != digest(body) {
		http.Error(rw, fmt.Sprintf("the trailer of the request is %q", got), 599)
		return
	}
	var chunked, trailers, hints bool
	fmt.Sscan(r.Header.Get("X-Frame"), &chunked, &trailers, &hints)
	n, _ := strconv.Atoi(r.Header.Get("X-Down"))
	salt, _ := strconv.Atoi(r.Header.Get("X-Salt"))
	status, _ := strconv.Atoi(r.Header.Get("X-Status"))
	if hints {
		rw.Header().Set("Link", "</x>")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("Link")
	}
	answer := pattern(n, salt)
	rw.Header().Set("X-Method", r.Method)
	rw.Header().Set("X-Trailers-Came", strconv.Itoa(len(r.Trailer)))
	if chunked && trailers {
		rw.Header().Set("Trailer", "X-Down-Trailer")
	} else if !chunked {
		rw.Header().Set("Content-Length", strconv.Itoa(n))
	}
	rw.WriteHeader(status)
	rw.Write(answer[:n/3])
	if chunked {
		rw.(http.Flusher).Flush()
	}
	rw.Write(answer[n/3:])
	if chunked && trailers {
		rw.Header().Set("X-Down-Trailer", digest(answer))
	}
}

// grant makes the request and says what of it did not come true.
func (w wish) grant(t *testing.T, client *http.Client, url string) error {
	req, err := w.request(t, url)
	if err != nil {
		return err
	}
	var hints int
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") == "</x>" {
				hints++
			}
			return nil
		},
	}))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("the answer's body, %d bytes of it: %w", len(body), err)
	}
	want := w.downBody
	if w.method == "HEAD" {
		want = nil
	}
	switch {
	case res.StatusCode != w.status:
		return fmt.Errorf("status %d: %.200q", res.StatusCode, body)
	case !bytes.Equal(body, want):
		return fmt.Errorf("%d bytes came, not those that were sent", len(body))
	case res.Header.Get("X-Method") != w.method:
		return fmt.Errorf("the server saw %q", res.Header.Get("X-Method"))
	case w.hints != (hints == 1):
		return fmt.Errorf("%d early hints came", hints)
	case req.Trailer != nil && res.Header.Get("X-Trailers-Came") != "1":
		return fmt.Errorf("%s trailers of the request came", res.Header.Get("X-Trailers-Came"))
	case w.downChunked && w.trailers && w.method != "HEAD" && res.Trailer.Get("X-Down-Trailer") != digest(w.downBody):
		return fmt.Errorf("the trailers of the answer are %v", res.Trailer)
	case !w.downChunked && w.method != "HEAD" && res.ContentLength != int64(w.down):
		return fmt.Errorf("the answer's length is %d", res.ContentLength)
	}
	return nil
}

// flood has many clients make many wishes at once, and each of them so many.
func flood(t *testing.T, client *http.Client, base string, requests int) {
	t.Helper()
	t.Logf("seed %d", seed)
	var granted counter
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for i := range requests {
				w := newWish(r)
				if err := w.grant(t, client, base+"/"+strconv.Itoa(i)); err != nil {
					t.Errorf("worker %d, request %d, %v: %v", worker, i, w, err)
					continue
				}
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	granted.atLeast(t, "requests of net/http to net/http", workers*requests)
}

func TestNetHTTPThroughTwoSidecars(t *testing.T) {
	for _, mode := range []struct {
		name     string
		mesh     meshOptions
		requests int
	}{
		{"declared", meshOptions{Protocol: "HTTP"}, 30},
		{"detected", meshOptions{}, 30},
		{"detected and inspected", meshOptions{Policies: inspecting}, 5},
	} {
		t.Run(mode.name, func(t *testing.T) {
			mode.mesh.App = serve(t, http.HandlerFunc(fulfil))
			flood(t, newClient(t), "http://"+startMesh(t, mode.mesh).Front, mode.requests)
		})
	}
}

// The client of a plain SPIFFE workload has no sidecar.
func TestGoSPIFFECallsASidecar(t *testing.T) {
	m := startInbound(t, meshOptions{App: serve(t, http.HandlerFunc(fulfil))})
	ran := 0
	for _, protos := range [][]string{{"http/1.1"}, {"h2", "http/1.1"}, nil} {
		ran++
		t.Run(fmt.Sprintf("offering %q", protos), func(t *testing.T) {
			flood(t, m.spiffeClient(t, checkout, protos...), "https://"+m.Port, 12)
		})
	}
	t.Run("without permission", func(t *testing.T) {
		ran++
		exchange{path: "/", status: 403}.run(t, m.spiffeClient(t, intruder, "http/1.1"), "https://"+m.Port)
	})
	t.Run("expecting another server", func(t *testing.T) {
		ran++
		client := m.spiffeClient(t, checkout, "http/1.1")
		client.Transport.(*http.Transport).TLSClientConfig = tlsconfig.MTLSClientConfig(
			m.issue(t, checkout), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, intruder)))
		if res, err := client.Get("https://" + m.Port); err == nil {
			res.Body.Close()
			t.Errorf("go-spiffe took payments for the intruder")
		}
	})
	atLeast(t, "kinds of go-spiffe clients", ran, 5)
}

func (m *mesh) spiffeClient(t *testing.T, id string, protos ...string) *http.Client {
	client := newClient(t)
	client.Transport.(*http.Transport).TLSClientConfig = m.clientTLS(t, id, protos...)
	return client
}

// The server of a plain SPIFFE workload has no sidecar either.
func TestASidecarCallsGoSPIFFE(t *testing.T) {
	m := &mesh{CA: newCA(t)}
	serveTLS := func(t *testing.T, id, caller string, protos ...string) string {
		server := newTLSServer(http.HandlerFunc(fulfil), tlsconfig.MTLSServerConfig(
			m.issue(t, id), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, caller))), protos)
		t.Cleanup(server.Close)
		return "http://" + m.outbound(t, server.Listener.Addr().String(), "HTTP", "").Address(t, "front")
	}
	ran := 0
	for _, protos := range [][]string{{"http/1.1"}, nil} {
		ran++
		t.Run(fmt.Sprintf("accepting %q", protos), func(t *testing.T) {
			flood(t, newClient(t), serveTLS(t, payments, checkout, protos...), 12)
		})
	}
	for _, x := range []struct{ name, id, caller string }{
		{"a server with another identity", intruder, checkout},
		{"a server that does not want us", payments, intruder},
	} {
		ran++
		t.Run(x.name, func(t *testing.T) {
			exchange{path: "/", status: http.StatusBadGateway}.run(t, newClient(t), serveTLS(t, x.id, x.caller))
		})
	}
	atLeast(t, "kinds of go-spiffe servers", ran, 4)
}

// A client may connect long before it has something to ask. On a port that has
// carried HTTP its silence does not make it opaque.
func TestConnectionsOpenedAhead(t *testing.T) {
	m := startMesh(t, meshOptions{
		App: serve(t, app()), Policies: inspecting, // which lets nothing opaque pass
		Calling: "  limits: {detectTimeout: 1ms}",
	})
	client := newClient(t)
	ask := func() {
		exchange{path: "/greeting", status: 200, want: []byte(greeting)}.run(t, client, "http://"+m.Front)
	}
	// On a starved machine the very first request may take longer to follow its
	// connection than 1 ms, and then nothing is known of the port yet.
	testkit.Eventually(t, "the port has carried HTTP", func() bool {
		res, err := client.Get("http://" + m.Front + "/greeting")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err == nil && res.StatusCode == http.StatusOK
	})
	const ahead = 10
	var early []net.Conn
	for range ahead {
		early = append(early, dial(t, m.Front))
	}
	for range 10 { // each takes far longer than what the silent ones are given
		ask()
	}
	for i, nc := range early {
		fmt.Fprintf(nc, "GET /greeting HTTP/1.1\r\nHost: payments\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(nc)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("connection %d: %.100q, %v", i, answer, err)
		}
	}
	atLeast(t, "connections opened ahead", len(early), ahead)
}

// The server answers before the upload is over. The client gets the answer, and
// no request after it suffers.
func TestAnswerDuringUpload(t *testing.T) {
	for _, mode := range []struct {
		name, policies string
		tries          int
	}{{"not inspected", "", 20}, {"inspected", inspecting, 5}} {
		t.Run(mode.name, func(t *testing.T) {
			m := startMesh(t, meshOptions{App: serve(t, app()), Policies: mode.policies})
			client := newClient(t)
			ran := 0
			for i := range mode.tries {
				ran++
				body, feed := io.Pipe()
				fed := make(chan struct{})
				go func() { // ends when the body is closed
					defer close(fed)
					for _, err := feed.Write(make([]byte, 4<<10)); err == nil; {
						_, err = feed.Write(make([]byte, 4<<10))
					}
				}()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.Front+"/refuse", body)
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("try %d: %v", i, err)
				} else {
					answer, err := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(answer), "too much") || err != nil {
						t.Errorf("try %d: status %d, %q, %v", i, res.StatusCode, answer, err)
					}
				}
				body.Close()
				<-fed
				exchange{path: "/greeting", status: 200, want: []byte(greeting)}.run(t, client, "http://"+m.Front)
			}
			atLeast(t, "uploads without end", ran, 5)
		})
	}
}
