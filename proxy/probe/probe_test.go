package probe_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// portOf is the port of a server that the tests have started.
func portOf(t *testing.T, address string) uint16 {
	t.Helper()
	u, err := url.Parse(address)
	if err == nil && u.Host != "" {
		address = u.Host
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// application answers as its paths say.
func application() http.Handler {
	mux := http.NewServeMux()
	for _, status := range []int{200, 204, 304, 399, 400, 404, 500, 503} {
		mux.HandleFunc(fmt.Sprintf("GET /%d", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/200", http.StatusFound) })
	mux.HandleFunc("/ill", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/500", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/500", http.StatusFound)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "x")
	})
	// It is well if it was asked as configured, and by nobody else.
	mux.HandleFunc("/asked", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "app.example.org" || r.URL.RawQuery != "deep=1" || fmt.Sprint(r.Header["X-A"]) != "[1 2]" ||
			r.Header.Get("User-Agent") != "mine" || r.Header.Get("X-Evil") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	mux.HandleFunc("/agent", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("User-Agent"), "kube-probe/") {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	return mux
}

// healthy serves gRPC health for the services "" and "shop"; "sick" is not well.
func healthy(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, h := grpc.NewServer(), health.NewServer()
	h.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
	h.SetServingStatus("sick", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return portOf(t, l.Addr().String())
}

// nobody is a port at which nobody listens.
func nobody(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(t, l.Addr().String())
}

// get asks the handler as the kubelet does, at a port of its own.
func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Evil", "1")
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestProbes(t *testing.T) {
	plain, tls := httptest.NewServer(application()), httptest.NewTLSServer(application())
	defer plain.Close()
	defer tls.Close()
	at, secure, rpc, none := portOf(t, plain.URL), portOf(t, tls.URL), healthy(t), nobody(t)
	http := func(path string) config.Probe { return config.Probe{HTTP: &config.HTTPProbe{Port: at, Path: path}} }
	cases := []struct {
		name   string
		probe  config.Probe
		status int
		says   string
	}{
		{"an answer of 200", http("/200"), 200, "ok"},
		{"an answer of 204", http("/204"), 200, "ok"},
		{"the last status that is good", http("/399"), 200, "ok"},
		{"the first status that is not", http("/400"), 503, "the answer is 400"},
		{"no such path", http("/404"), 503, "the answer is 404"},
		{"no path at all", http(""), 503, "the answer is 404"},
		{"a failing application", http("/500"), 503, "the answer is 500"},
		{"a redirection to a good answer", http("/here"), 200, "ok"},
		{"a redirection to a bad answer", http("/ill"), 503, "the answer is 500"},
		{"a redirection without an end", http("/round"), 503, "ask: redirected too often"},
		{"a redirection to somebody else is not followed", http("/away"), 200, "ok"},
		{"an answer longer than is read", http("/large"), 200, "ok"},
		{"an answer that breaks off", http("/broken"), 503, "read the answer: unexpected EOF"},
		{"the kubelet's user agent", http("/agent"), 200, "ok"},
		{"as configured, and nothing of the request is passed on", config.Probe{HTTP: &config.HTTPProbe{Port: at, Path: "/asked?deep=1", Headers: []config.ProbeHeader{
			{Name: "host", Value: "app.example.org"}, {Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}, {Name: "User-Agent", Value: "mine"},
		}}}, 200, "ok"},
		{"over TLS with a certificate of nobody's", config.Probe{HTTP: &config.HTTPProbe{Port: secure, Path: "/200", TLS: true}}, 200, "ok"},
		{"TLS where there is none", config.Probe{HTTP: &config.HTTPProbe{Port: at, Path: "/200", TLS: true}}, 503, "ask: http: server gave HTTP response to HTTPS client"},
		{"HTTP where nobody listens", config.Probe{HTTP: &config.HTTPProbe{Port: none, Path: "/200"}}, 503, "ask: connect: connection refused"},
		{"a connection", config.Probe{TCP: &config.TCPProbe{Port: at}}, 200, "ok"},
		{"no connection", config.Probe{TCP: &config.TCPProbe{Port: none}}, 503, "connect: connect: connection refused"},
		{"a serving server", config.Probe{GRPC: &config.GRPCProbe{Port: rpc}}, 200, "ok"},
		{"a serving service", config.Probe{GRPC: &config.GRPCProbe{Port: rpc, Service: "shop"}}, 200, "ok"},
		{"a service that does not serve", config.Probe{GRPC: &config.GRPCProbe{Port: rpc, Service: "sick"}}, 503, "the answer is NOT_SERVING"},
		{"a service that is not known", config.Probe{GRPC: &config.GRPCProbe{Port: rpc, Service: "other"}}, 503, "the answer is NotFound"},
		{"a server without health", config.Probe{GRPC: &config.GRPCProbe{Port: none}}, 503, "the answer is Unavailable"},
	}
	if len(cases) < 25 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.probe.Name, c.probe.Timeout = "app/readiness", time.Minute
			status, says := get(t, probe.New([]config.Probe{c.probe}), "GET", "/probe/app/readiness")
			if status != c.status || says != c.says {
				t.Errorf("%d %q, want %d %q", status, says, c.status, c.says)
			}
		})
	}
}

// Whoever reaches the health port reaches what is configured and nothing else.
func TestNothingElseIsAsked(t *testing.T) {
	var asked int
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer app.Close()
	h := probe.New([]config.Probe{{Name: "app/readiness", HTTP: &config.HTTPProbe{Port: portOf(t, app.URL), Path: "/ready"}}})
	cases := []struct{ method, path string }{
		{"GET", "/probe/"},
		{"GET", "/probe/app"},
		{"GET", "/probe/app/"},
		{"GET", "/probe/app/liveness"},
		{"GET", "/probe/app/readiness/"},
		{"GET", "/probe/app/readiness/../liveness"},
		{"GET", "/probe/%2e%2e/readiness"},
		{"GET", "/probe//app/readiness"},
		{"GET", "/"},
		{"GET", "/p"},
		{"POST", "/probe/app/readiness"},
		{"PUT", "/probe/app/readiness"},
		{"CONNECT", "/probe/app/readiness"},
		{"GET", "/probe/http:%2f%2f192.0.2.1%2f"},
	}
	if len(cases) < 14 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if status, _ := get(t, h, c.method, c.path); status != http.StatusNotFound {
			t.Errorf("%s %s is answered with %d", c.method, c.path, status)
		}
	}
	if asked != 0 {
		t.Errorf("the application was asked %d times", asked)
	}
	if status, _ := get(t, h, "GET", "/probe/app/readiness"); status != http.StatusOK || asked != 1 {
		t.Errorf("what is configured is answered with %d, asked %d times", status, asked)
	}
}

// An application that does not listen where the kubelet asks was never well.
func TestAsksWhereTheProbeCameIn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("no second address on loopback: %v", err)
	}
	app := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = app.Serve(l) }()
	defer app.Close()
	h := probe.New([]config.Probe{{Name: "app", TCP: &config.TCPProbe{Port: portOf(t, l.Addr().String())}}})
	for address, want := range map[string]int{"127.0.0.1": 503, "127.0.0.2": 200} {
		r := httptest.NewRequest("GET", "/probe/app", nil)
		local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 15021))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
		if w.Code != want {
			t.Errorf("from %s: %d, want %d", address, w.Code, want)
		}
	}
}

func TestAProbeFromNowhereIsNotAsked(t *testing.T) {
	w := httptest.NewRecorder()
	probe.New([]config.Probe{{Name: "app", TCP: &config.TCPProbe{Port: 80}}}).ServeHTTP(w, httptest.NewRequest("GET", "/probe/app", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d", w.Code)
	}
}

// A probe that is never answered ends when its time is up, not when the kubelet
// gives up. The application accepts and says nothing.
func TestNoAnswerInTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := portOf(t, l.Addr().String())
	for _, p := range []config.Probe{
		{HTTP: &config.HTTPProbe{Port: at}}, {HTTP: &config.HTTPProbe{Port: at, TLS: true}}, {GRPC: &config.GRPCProbe{Port: at}},
	} {
		p.Name, p.Timeout = "app", time.Millisecond
		if status, says := get(t, probe.New([]config.Probe{p}), "GET", "/probe/app"); status != 503 || !strings.Contains(says, "no answer in time") && !strings.Contains(says, "DeadlineExceeded") {
			t.Errorf("%+v: %d %q", p, status, says)
		}
	}
}
