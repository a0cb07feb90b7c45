package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An answer is what an application says: who it is, who called it according to
// its sidecar, and what the service behind it answered.
type answer struct {
	App         string  `json:"app"`
	Did         string  `json:"did"`
	Caller      string  `json:"caller,omitempty"`
	Certificate string  `json:"certificate,omitempty"`
	Next        *answer `json:"next,omitempty"`
}

// An app is the application of a workload: a plain HTTP server that knows
// nothing of TLS, policies or identities beyond two header fields.
type app struct {
	name string
	// method and next are how it calls the service behind it: through its own
	// sidecar's outbound listener. The last service has no method.
	method, next string
	// host is the name under which it asks for that service.
	host string

	client   *http.Client
	server   *http.Server
	listener net.Listener
	addr     string
	done     chan struct{} // closed when the server has ended

	served atomic.Int64
	mu     sync.Mutex
	certs  map[string]struct{} // hashes of the certificates that callers showed
}

// newApp binds to a port of loopback; serve makes it answer.
func newApp(ctx context.Context, name string) (*app, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the application of %s: %w", name, err)
	}
	a := &app{
		name: name, client: newClient(), listener: listener, addr: listener.Addr().String(),
		done: make(chan struct{}), certs: map[string]struct{}{},
	}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: callTimeout}
	return a, nil
}

// serve answers until stop is called. Calls that came earlier have waited.
func (a *app) serve() {
	go func() {
		defer close(a.done)
		_ = a.server.Serve(a.listener) // ends with stop and says nothing else
	}()
}

// stop ends the server and waits.
func (a *app) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close() // what still runs has had its time
	}
	<-a.done
	a.client.CloseIdleConnections()
}

// ServeHTTP implements http.Handler.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.served.Add(1)
	mine := answer{
		App: a.name, Did: r.Method + " " + r.URL.Path,
		Caller: r.Header.Get("X-Outrider-Peer"), Certificate: r.Header.Get("X-Forwarded-Client-Cert"),
	}
	a.remember(mine.Certificate)
	if a.method != "" {
		behind, refused, err := a.callNext(r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		case refused != nil:
			relay(w, refused)
			return
		}
		mine.Next = behind
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(mine) // the caller has gone; nobody else can be told
}

// callNext asks the service behind. A reply is returned as refused if it is not
// the answer of an application.
func (a *app) callNext(r *http.Request) (behind *answer, refused *reply, err error) {
	header := http.Header{}
	if trace := r.Header.Get("Traceparent"); trace != "" {
		header.Set("Traceparent", trace)
	}
	got, err := call(r.Context(), a.client, request{
		method: a.method, url: a.next + "?" + r.URL.RawQuery, host: a.host, header: header,
	})
	if err != nil {
		return nil, nil, err
	}
	if got.status != http.StatusOK {
		return nil, got, nil
	}
	behind = new(answer)
	if err := json.Unmarshal(got.body, behind); err != nil {
		return nil, nil, fmt.Errorf("the answer of the next service: %w", err)
	}
	return behind, nil, nil
}

// relay hands a refusal on to whoever called us.
func relay(w http.ResponseWriter, got *reply) {
	for _, name := range []string{"Content-Type", "Proxy-Status"} {
		if v := got.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(got.status)
	_, _ = w.Write(got.body) //nolint:gosec // it is a sidecar's text, sent as such; if the caller has gone, nobody else can be told
}

// remember notes the caller's certificate.
func (a *app) remember(xfcc string) {
	for element := range strings.SplitSeq(xfcc, ";") {
		if hash, ok := strings.CutPrefix(element, "Hash="); ok {
			a.mu.Lock()
			a.certs[hash] = struct{}{}
			a.mu.Unlock()
		}
	}
}

// certificates is how many different certificates callers have shown.
func (a *app) certificates() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.certs)
}

// callTimeout bounds one call; a healthy one takes milliseconds.
const callTimeout = 10 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// newClient returns a client with connections of its own, which ignores the
// proxies that the environment may name: everything here is on loopback.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: callTimeout}
}

// A request is one call.
type request struct {
	method, url string
	// host is the Host field; empty takes the one of url.
	host   string
	header http.Header // nil for none
}

// A reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// decisionHeader names the record of a refusal. No application can send it: it
// comes from the nearest sidecar that refused, or not at all.
const decisionHeader = "X-Outrider-Decision"

// decision is the id that the text of a refusal ends with, "(waf_blocked,
// decision ID)", which applications that hand it on leave alone.
func (r *reply) decision() string {
	_, id, _ := strings.Cut(r.text(), ", decision ")
	return strings.TrimSuffix(id, ")")
}

// text is the body on one line.
func (r *reply) text() string { return strings.TrimSpace(string(r.body)) }

func call(ctx context.Context, client *http.Client, q request) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, nil)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	req.Host = q.host
	maps.Copy(req.Header, q.header)
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", q.url, err)
	}
	return &reply{status: res.StatusCode, header: res.Header, body: body}, nil
}
