package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/proxy/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A running server and a client that reaches only it.
type running struct {
	*admin.Server
	t      *testing.T
	client *http.Client
}

// start runs a server on free ports until the test ends.
func start(t *testing.T, o admin.Options) *running {
	t.Helper()
	o.Health, o.Metrics, o.Admin = "127.0.0.1:0", "127.0.0.1:0", "localhost:0"
	if o.Readiness == nil {
		o.Readiness = admin.NewReadiness(nil)
	}
	if o.MetricsHandler == nil {
		o.MetricsHandler = http.NotFoundHandler()
	}
	s, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return &running{s, t, &http.Client{Transport: transport, Timeout: time.Minute}}
}

// An answer is what of a response the tests look at.
type answer struct {
	status int
	body   string
}

// do may be called by any goroutine, so it doesn't end the test.
func (r *running) do(method string, at net.Addr, path string, change func(*http.Request)) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+at.String()+path, nil)
	if err != nil {
		r.t.Error(err)
		return answer{}
	}
	if change != nil {
		change(req)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	return answer{resp.StatusCode, string(body)}
}

func (r *running) get(at net.Addr, path string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, at, path, nil)
}

func expect(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("answer is %d %q, want %d %q", got.status, got.body, status, body)
	}
}

func TestHealthNamesWhatIsMissing(t *testing.T) {
	readiness := admin.NewReadiness(nil, "identity", "policy", "listeners")
	s := start(t, admin.Options{Readiness: readiness})
	expect(t, s.get(s.HealthAddr(), "/healthz/ready"), 503, "identity\npolicy\nlisteners\n")
	expect(t, s.get(s.HealthAddr(), "/healthz/live"), 200, "live\n")

	readiness.Set("policy", nil)
	readiness.Set("listeners", nil)
	readiness.Set("identity", errors.New("dial unix /run/agent.sock: no such file"))
	expect(t, s.get(s.HealthAddr(), "/healthz/ready"), 503, "identity\n")
	expect(t, s.get(s.AdminAddr(), "/ready"), 503, "identity: dial unix /run/agent.sock: no such file\n")

	readiness.Set("identity", nil)
	expect(t, s.get(s.HealthAddr(), "/healthz/ready"), 200, "ready\n")
	expect(t, s.get(s.AdminAddr(), "/ready"), 200, "ready\n")
	expect(t, s.do(http.MethodHead, s.HealthAddr(), "/healthz/ready", nil), 200, "")
	if got := s.do(http.MethodPost, s.HealthAddr(), "/healthz/ready", nil); got.status != 405 {
		t.Errorf("POST answers %d, want 405", got.status)
	}
}

func TestEachPortServesOnlyItsOwn(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	s := start(t, admin.Options{MetricsHandler: metrics, Drain: func() {}})
	expect(t, s.get(s.MetricsAddr(), "/metrics"), 200, "up 1\n")
	for _, c := range []struct {
		at   net.Addr
		path string
	}{
		{s.HealthAddr(), "/metrics"},
		{s.HealthAddr(), "/debug/pprof/"},
		{s.HealthAddr(), "/drain"},
		{s.HealthAddr(), "/version"},
		{s.MetricsAddr(), "/healthz/ready"},
		{s.MetricsAddr(), "/debug/pprof/"},
		{s.MetricsAddr(), "/drain"},
		{s.MetricsAddr(), "/"},
		{s.AdminAddr(), "/metrics"},
		{s.AdminAddr(), "/debug/pprof/cmdline"},
		{s.AdminAddr(), "/nothing"},
	} {
		if got := s.get(c.at, c.path); got.status != 404 {
			t.Errorf("%s on %v answers %d, want 404", c.path, c.at, got.status)
		}
	}
}

func TestAdminIndexListsWhatThereIs(t *testing.T) {
	s := start(t, admin.Options{})
	const bare = "GET /debug/pprof/  profiles of the Go runtime\n" +
		"GET /ready  what the sidecar waits for, with reasons\n" +
		"GET /version  the running build\n"
	expect(t, s.get(s.AdminAddr(), "/"), 200, bare)
	for _, path := range []string{"/config_dump", "/connections"} {
		if got := s.get(s.AdminAddr(), path); got.status != 404 {
			t.Errorf("%s without a source answers %d, want 404", path, got.status)
		}
	}

	full := start(t, admin.Options{
		ConfigDump: func() any { return nil }, Connections: func() any { return nil }, Drain: func() {}, Quit: func() {},
	})
	index := full.get(full.AdminAddr(), "/").body
	lines := 0
	for line := range strings.Lines(index) {
		lines++
		pattern, _, _ := strings.Cut(line, "  ")
		method, path, _ := strings.Cut(pattern, " ")
		if got := full.do(method, full.AdminAddr(), path, nil); got.status >= 300 {
			t.Errorf("%s of the index answers %d", pattern, got.status)
		}
	}
	if lines != 7 {
		t.Errorf("index has %d lines, want 7:\n%s", lines, index)
	}
}

func TestDumpsAreJSON(t *testing.T) {
	s := start(t, admin.Options{
		ConfigDump:  func() any { return map[string]int{"generation": 3} },
		Connections: func() any { return make(chan int) },
	})
	expect(t, s.get(s.AdminAddr(), "/config_dump"), 200, "{\n  \"generation\": 3\n}\n")
	if got := s.get(s.AdminAddr(), "/connections"); got.status != 500 {
		t.Errorf("what can't be rendered answers %d, want 500", got.status)
	}
	var build struct{ Version string }
	if err := json.Unmarshal([]byte(s.get(s.AdminAddr(), "/version").body), &build); err != nil || build.Version == "" {
		t.Errorf("version %q (%v), want one", build.Version, err)
	}
}

func TestActionsNeedPostAndNoForeignPage(t *testing.T) {
	drained, quit := make(chan struct{}, 9), make(chan struct{}, 9)
	s := start(t, admin.Options{
		Drain: func() { drained <- struct{}{} }, Quit: func() { quit <- struct{}{} },
	})
	refused := []struct {
		name   string
		method string
		change func(*http.Request)
		status int
	}{
		{"a GET", http.MethodGet, nil, 405},
		{"a form of a foreign page", http.MethodPost, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"a foreign origin", http.MethodPost, func(r *http.Request) { r.Header.Set("Origin", "http://evil.test") }, 403},
		{"a rebound name", http.MethodPost, func(r *http.Request) { r.Host = "evil.test" }, 403},
	}
	for _, c := range refused {
		for _, path := range []string{"/drain", "/quitquitquit"} {
			if got := s.do(c.method, s.AdminAddr(), path, c.change); got.status != c.status {
				t.Errorf("%s to %s answers %d, want %d", c.name, path, got.status, c.status)
			}
		}
	}
	if len(drained)+len(quit) != 0 {
		t.Fatal("a refused request had its effect")
	}
	expect(t, s.do(http.MethodPost, s.AdminAddr(), "/drain", nil), 202, "draining\n")
	expect(t, s.do(http.MethodPost, s.AdminAddr(), "/quitquitquit", nil), 202, "quitting\n")
	if len(drained) != 1 || len(quit) != 1 {
		t.Errorf("drain was called %d times and quit %d times, want once each", len(drained), len(quit))
	}
}

func TestAdminAnswersOnlyToNamesOfThisMachine(t *testing.T) {
	s := start(t, admin.Options{})
	for host, status := range map[string]int{
		"localhost": 200, "LocalHost:15000": 200, "127.0.0.1": 200, "127.8.7.6:1": 200, "[::1]:15000": 200,
		"[::1]": 200, "[::ffff:127.0.0.1]:80": 200,
		"evil.test": 403, "evil.test:15000": 403, "localhost.evil.test": 403, "10.0.0.1": 403, "0.0.0.0": 403,
		"127.0.0.1.evil.test": 403, "169.254.169.254:80": 403, "localhost.": 403,
	} {
		got := s.do(http.MethodGet, s.AdminAddr(), "/version", func(r *http.Request) { r.Host = host })
		if got.status != status {
			t.Errorf("host %q answers %d, want %d", host, got.status, status)
		}
	}
	// HTTP/1.0 may come without a Host at all.
	conn := dial(t, s.AdminAddr())
	if _, err := io.WriteString(conn, "GET /version HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line := firstLine(t, conn); !strings.Contains(line, "403") {
		t.Errorf("a request without Host gets %q, want 403", line)
	}
}

func dial(t *testing.T, at net.Addr) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func firstLine(t *testing.T, conn net.Conn) string {
	t.Helper()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestAHeadOverTheLimitIsRefused(t *testing.T) {
	s := start(t, admin.Options{})
	conn := dial(t, s.HealthAddr())
	long := strings.Repeat("x", 16<<10)
	if _, err := io.WriteString(conn, "GET /healthz/live HTTP/1.1\r\nHost: a\r\nX-Long: "+long); err != nil {
		t.Fatal(err)
	}
	if line := firstLine(t, conn); !strings.Contains(line, "431") {
		t.Errorf("answer is %q, want 431", line)
	}
}

func TestRequestsAtATimeAreBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, admin.Options{ConfigDump: func() any {
		entered <- struct{}{}
		<-release
		return nil
	}})
	const most = 8 // of the administration port
	answers := make(chan answer, most)
	for range most {
		go func() { answers <- s.get(s.AdminAddr(), "/config_dump") }()
		<-entered
	}
	expect(t, s.get(s.AdminAddr(), "/version"), 503, "too many requests at a time\n")
	expect(t, s.get(s.HealthAddr(), "/healthz/live"), 200, "live\n")
	close(release)
	for range most {
		expect(t, <-answers, 200, "null\n")
	}
	if got := s.get(s.AdminAddr(), "/version"); got.status != 200 {
		t.Errorf("after the load an answer is %d, want 200", got.status)
	}
}

func TestConnectionsAtATimeAreBounded(t *testing.T) {
	s := start(t, admin.Options{})
	const most = 16 // of the administration port
	var open []net.Conn
	for range most {
		conn := dial(t, s.AdminAddr())
		if _, err := io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		firstLine(t, conn) // it was accepted
		open = append(open, conn)
	}
	next := dial(t, s.AdminAddr()) // the kernel accepts it, the server must not
	if _, err := io.WriteString(next, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(next).ReadString('\n')
		answered <- line
	}()
	// A whole exchange on another port is time enough for a wrong answer.
	expect(t, s.get(s.HealthAddr(), "/healthz/live"), 200, "live\n")
	select {
	case line := <-answered:
		t.Fatalf("connection %d is answered %q while the others are open", most+1, line)
	default:
	}
	open[0].Close()
	if line := <-answered; !strings.Contains(line, "200") {
		t.Errorf("after another closed, the answer is %q", line)
	}
}

func TestNewBindsAllOrNothing(t *testing.T) {
	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := free.Addr().String()
	free.Close()
	ready := admin.NewReadiness(nil)
	cases := map[string]struct {
		options admin.Options
		text    string
	}{
		"a port that is taken":         {admin.Options{Readiness: ready, Admin: taken.Addr().String()}, "admin port: listen"},
		"every interface":              {admin.Options{Readiness: ready, Admin: "0.0.0.0:0"}, `admin port: address "0.0.0.0:0" is not a loopback address`},
		"an empty host":                {admin.Options{Readiness: ready, Admin: ":0"}, `address ":0" is not a loopback address`},
		"a name that may resolve away": {admin.Options{Readiness: ready, Admin: "localhost.test:0"}, "is not a loopback address"},
		"a mapped address":             {admin.Options{Readiness: ready, Admin: "[::ffff:10.0.0.1]:0"}, "is not a loopback address"},
		"an address without port":      {admin.Options{Readiness: ready, Admin: "127.0.0.1"}, "missing port"},
		"no readiness":                 {admin.Options{}, "no readiness"},
		"no metrics":                   {admin.Options{Readiness: ready, Metrics: "127.0.0.1:0"}, "no metrics handler"},
	}
	for name, c := range cases {
		t.Run(name+" is an error", func(t *testing.T) {
			c.options.Health = health
			s, err := admin.New(c.options)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("New = %v, %v; want an error with %q", s, err, c.text)
			}
			again, err := lc.Listen(t.Context(), "tcp", health)
			if err != nil {
				t.Fatalf("the health port is still bound: %v", err)
			}
			again.Close()
		})
	}
}

func TestCloseReleasesAServerThatIsNotRun(t *testing.T) {
	s, err := admin.New(admin.Options{Readiness: admin.NewReadiness(nil), Health: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if s.AdminAddr() != nil || s.MetricsAddr() != nil {
		t.Error("a port that is not served has an address")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	var lc net.ListenConfig
	again, err := lc.Listen(t.Context(), "tcp", s.HealthAddr().String())
	if err != nil {
		t.Fatalf("the port is still bound: %v", err)
	}
	again.Close()
}

func TestRunReturnsAListenersFailureAndStopsTheRest(t *testing.T) {
	s, err := admin.New(admin.Options{
		Readiness: admin.NewReadiness(nil), Health: "127.0.0.1:0", Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // as if the listeners broke
	if err := s.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run = %v, want the failure of a listener", err)
	}
}

func TestReadinessKeepsItsOrderAndTellsChanges(t *testing.T) {
	var changes []bool
	r := admin.NewReadiness(func(ready bool) { changes = append(changes, ready) }, "identity", "policy")
	steps := []struct {
		name string
		err  error
		want []string
	}{
		{"policy", nil, []string{"identity"}},
		{"identity", nil, nil},
		{"identity", nil, nil},
		{"drain", errors.New("draining"), []string{"drain"}},
		{"identity", errors.New("expired"), []string{"identity", "drain"}},
		{"drain", nil, []string{"identity"}},
		{"identity", nil, nil},
	}
	for i, s := range steps {
		r.Set(s.name, s.err)
		if diff := cmp.Diff(s.want, r.Missing()); diff != "" {
			t.Errorf("step %d: missing (-want +got):\n%s", i, diff)
		}
		if r.Ready() != (len(s.want) == 0) {
			t.Errorf("step %d: Ready = %v with %v missing", i, r.Ready(), s.want)
		}
	}
	if diff := cmp.Diff([]bool{true, false, true}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestReadinessWithoutConditionsIsReady(t *testing.T) {
	if r := admin.NewReadiness(nil); !r.Ready() || r.Missing() != nil {
		t.Error(fmt.Sprint("missing: ", r.Missing()))
	}
}

func TestProbesAreServedOnTheHealthPortOnly(t *testing.T) {
	r := start(t, admin.Options{Probes: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
	})})
	cases := []struct {
		at     net.Addr
		method string
		path   string
		status int
	}{
		{r.HealthAddr(), "GET", "/probe/app/readiness", 200},
		{r.HealthAddr(), "POST", "/probe/app/readiness", 405},
		{r.MetricsAddr(), "GET", "/probe/app/readiness", 404},
		{r.AdminAddr(), "GET", "/probe/app/readiness", 404},
		{start(t, admin.Options{}).HealthAddr(), "GET", "/probe/app/readiness", 404},
	}
	for _, c := range cases {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+c.at.String()+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s %s at %v: %d, want %d", c.method, c.path, c.at, response.StatusCode, c.status)
		}
	}
}
