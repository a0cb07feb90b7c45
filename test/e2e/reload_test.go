package e2e

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// says is an application that gives its name.
func says(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }
}

// A watched sidecar reads its configuration from a file, as in production.
type watched struct {
	*proxy.Sidecar
	path string
	log  *testkit.Log
}

const header = "apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\n" +
	"metadata: {name: payments, namespace: shop, labels: {app: payments}}\nspec:\n" +
	"  identity: {workloadAPI: {socket: \"unix:///unused\"}}\n"

func (w *watched) write(t *testing.T, spec string) {
	t.Helper()
	staged := w.path + ".staged"
	if err := os.WriteFile(staged, []byte(header+spec+ports), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(staged, w.path); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) policies(t *testing.T, documents string) {
	t.Helper()
	testkit.WritePolicies(t, filepath.Join(filepath.Dir(w.path), "policies"), documents)
}

// watch starts a sidecar from a file; it runs until the test ends.
func watch(t *testing.T, source *identitytest.StaticSource, spec string) *watched {
	t.Helper()
	dir := t.TempDir()
	w := &watched{path: filepath.Join(dir, "sidecar.yaml"), log: new(testkit.Log)}
	w.write(t, spec)
	w.policies(t, allowMesh)
	c, _, err := config.LoadSidecar(w.path)
	if err != nil {
		t.Fatal(err)
	}
	w.Sidecar, err = proxy.New(t.Context(), proxy.Options{
		Config: c, ConfigPath: w.path, Source: source, Stdout: io.Discard, Stderr: io.Discard,
		Log:            slog.New(slog.NewJSONHandler(w.log, nil)),
		PolicyInterval: 50 * time.Millisecond, SweepInterval: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	force, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- w.Run(ctx, force) }()
	t.Cleanup(func() {
		stop()
		close(force)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-w.Ready()
	return w
}

func (w *watched) taken(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, "the configuration is taken over", func() bool {
		taken := 0
		for _, r := range w.log.Records(t) {
			if r["msg"] == "configuration taken over" {
				taken++
			}
		}
		return taken >= n
	})
}

// listeners is a spec with these inbound listeners, "name=application".
func listeners(list ...string) string {
	var b strings.Builder
	b.WriteString("  policies: {directory: policies}\n  inbound:\n")
	for _, l := range list {
		name, app, _ := strings.Cut(l, "=")
		app, more, _ := strings.Cut(app, ",")
		if more != "" {
			more = ", " + more
		}
		b.WriteString("  - {name: " + name + ", listen: \"127.0.0.1:0\", forward: \"" + app + "\"" + more + "}\n")
	}
	return b.String()
}

func TestAFileThatChangesIsTakenOverWithoutDroppingAConnection(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	a, b, c := serveApp(t, says("a")), serveApp(t, says("b")), serveApp(t, says("c"))
	tcp := serveTCP(t, echo)
	peer := ca.Source(t, checkout)
	w := watch(t, ca.Source(t, payments), listeners("kept="+a, "changed="+b, "removed="+b, "opaque="+tcp))
	at := func(name string) string {
		addr, ok := w.Addresses()[name]
		if !ok {
			t.Fatalf("no listener %q", name)
		}
		return addr
	}
	kept := dialMesh(t, at("kept"), peer, h1)
	changed := dialMesh(t, at("changed"), peer, h1)
	removed := dialMesh(t, at("removed"), peer, h1)
	opaque := dialMesh(t, at("opaque"), peer, "outrider/1+tcp")
	for _, x := range []*wire{kept, changed, removed} {
		x.get("/").wants(t, 200)
	}
	opaque.send("1")
	opaque.reads("1")
	addrs := w.Addresses()

	w.write(t, listeners("kept="+a, "changed="+c, "added="+c, "opaque="+tcp+",connect: Forward"))
	w.taken(t, 1)

	if got := kept.get("/").wants(t, 200); got.body != "a" || got.Close {
		t.Errorf("the unchanged listener's connection: %q, close %v", got.body, got.Close)
	}
	if w.Addresses()["kept"] != addrs["kept"] || w.Addresses()["changed"] != addrs["changed"] {
		t.Errorf("listeners moved: %v, were %v", w.Addresses(), addrs)
	}
	if got := dialMesh(t, at("added"), peer, h1).get("/").wants(t, 200); got.body != "c" {
		t.Errorf("the added listener leads to %q", got.body)
	}
	if got := dialMesh(t, at("changed"), peer, h1).get("/").wants(t, 200); got.body != "c" {
		t.Errorf("a new connection to the changed listener leads to %q", got.body)
	}
	for name, old := range map[string]*wire{"changed": changed, "removed": removed} {
		finishes(t, name, old)
	}
	opaque.send("2")
	opaque.reads("2")
	if c, err := net.Dial("tcp", addrs["removed"]); err == nil {
		c.Close()
		t.Error("the removed listener still accepts")
	}
}

// finishes checks a connection whose listener is not what it was: it serves
// until it ends, and ends in good order or not at all.
func finishes(t *testing.T, name string, w *wire) {
	t.Helper()
	if _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n"); err != nil {
		t.Logf("%s: closed: %v", name, err)
		return
	}
	a, err := w.tryAnswer()
	switch {
	case err == io.EOF: //nolint:errorlint // exactly the orderly end
		t.Logf("%s: ended in good order", name)
	case err == io.ErrUnexpectedEOF: //nolint:errorlint // ReadResponse's word for an end before the first byte
		t.Logf("%s: ended in good order", name)
	case err != nil:
		t.Errorf("%s: the old connection broke: %v", name, err)
	case a.StatusCode == 503 && strings.Contains(a.body, "no_destination"):
		t.Logf("%s: was told that there is nothing any more", name)
	case a.StatusCode != 200:
		t.Errorf("%s: the old connection got %d: %s", name, a.StatusCode, a.body)
	}
}

func TestAFileThatIsInvalidChangesNothing(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, hello)
	peer := ca.Source(t, checkout)
	w := watch(t, ca.Source(t, payments), listeners("kept="+app))
	open := dialMesh(t, w.Addresses()["kept"], peer, h1)
	open.get("/").wants(t, 200)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := []struct{ name, spec, says string }{
		{"an unknown key", listeners("kept="+app) + "  colour: red\n", "colour"},
		{"text that is not YAML", "  {{{\n", "YAML"},
		{"an address that is taken", strings.Replace(listeners("kept="+app, "second="+app), `name: second, listen: "127.0.0.1:0"`, `name: second, listen: "`+taken.Addr().String()+`"`, 1), "address already in use"},
		{"what only a restart can change", listeners("kept="+app) + "  accessLog: {output: \"off\"}\n", "spec.accessLog"},
	}
	for i, b := range bad {
		w.write(t, b.spec)
		testkit.Eventually(t, b.name+" is reported", func() bool {
			refused, named := 0, false
			for _, r := range w.log.Records(t) {
				if r["level"] == "ERROR" && strings.Contains(r["msg"].(string), "not taken over") {
					refused++
					named = strings.Contains(r["err"].(string), b.says)
				}
			}
			return refused == i+1 && named
		})
		open.get("/").wants(t, 200)
		if len(w.Addresses()) != 1 {
			t.Errorf("%s: listeners %v", b.name, w.Addresses())
		}
	}
	w.write(t, listeners("kept="+app, "second="+app))
	w.taken(t, 1)
	open.get("/").wants(t, 200)
	dialMesh(t, w.Addresses()["second"], peer, h1).get("/").wants(t, 200)
}

func TestADestinationThatChangesIsFollowedByOpenConnections(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	old := side{source: ca.Source(t, payments), forward: serveApp(t, says("old")), policies: allowMesh}.start(t)
	other := side{source: ca.Source(t, payments), forward: serveApp(t, says("new")), policies: allowMesh}.start(t)
	spec := func(to *testkit.Sidecar, limits string) string {
		return "  policies: {directory: policies}\n" +
			"  outbound: [{name: out, listen: \"127.0.0.1:0\", destination: peer}]\n" +
			"  destinations: [{name: peer, addresses: [\"" + to.Address(t, "in") + "\"], spiffeIDs: [\"" + payments + "\"]}]\n" + limits
	}
	w := watch(t, ca.Source(t, checkout), spec(old, ""))
	app := dial(t, w.Addresses()["out"])
	if got := app.get("/").wants(t, 200); got.body != "old" {
		t.Fatalf("got %q", got.body)
	}
	w.write(t, spec(other, ""))
	w.taken(t, 1)
	if got := app.get("/").wants(t, 200); got.body != "new" {
		t.Errorf("an open connection still leads to %q", got.body)
	}
	w.write(t, spec(other, "  limits: {headBytes: 4096}\n"))
	w.taken(t, 2)
	finishes(t, "after a change of limits", app)
	w.write(t, "  policies: {directory: policies}\n")
	w.taken(t, 3)
	app.get("/").refused(t, 503, "no_destination")
}

func TestAnApplicationThatMovesIsJudgedByItsNewPort(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	public, private := serveApp(t, says("public")), serveApp(t, says("private"))
	w := watch(t, ca.Source(t, payments), listeners("in="+public))
	_, port, _ := net.SplitHostPort(public)
	w.policies(t, access("Allow", `{to: [{ports: [`+port+`]}]}`))
	peer := ca.Source(t, checkout)
	open := dialMesh(t, w.Addresses()["in"], peer, h1)
	testkit.Eventually(t, "the policy is in force", func() bool {
		_, dump := httpGet(t, "http://"+w.AdminAddress()+"/config_dump")
		return strings.Contains(dump, "allow-callers")
	})
	open.get("/").wants(t, 200)
	w.write(t, listeners("in="+private))
	w.taken(t, 1)
	dialMesh(t, w.Addresses()["in"], peer, h1).get("/").refused(t, 403, "access_denied")
	open.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
	if a, err := open.tryAnswer(); err == nil && a.StatusCode == 200 && a.body != "public" {
		t.Errorf("a connection that was open got to the %s application, at a port that nobody allowed", a.body)
	}
}

func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app, again := serveApp(t, hello), serveApp(t, hello)
	in := watch(t, ca.Source(t, payments), listeners("in="+app))
	spec := func(destination, more string) string {
		return "  policies: {directory: policies}\n" +
			"  outbound: [{name: out, listen: \"127.0.0.1:0\", destination: " + destination + "}]\n" +
			"  destinations: [{name: " + destination + ", addresses: [\"" + in.Addresses()["in"] + "\"], spiffeIDs: [\"" + payments + "\"]}]\n" + more
	}
	out := watch(t, ca.Source(t, checkout), spec("a", ""))
	l := startLoad(t, out.Addresses()["out"], 4)
	const between = 50 // requests at least
	steps := []struct {
		name     string
		w        *watched
		spec     string
		policies string
	}{
		{"the caller's limits change", out, spec("a", "  limits: {headBytes: 8192}\n"), ""},
		{"the destination is another", out, spec("b", "  limits: {headBytes: 8192}\n"), ""},
		{"the application moves", in, listeners("in=" + again), ""},
		{"the application's limits change", in, listeners("in="+again) + "  limits: {headBytes: 8192}\n", ""},
		{"inspection is turned on", in, "", allowMesh + next + inspection("mode: Block")},
		{"inspection changes", in, "", allowMesh + next + inspection("mode: Block, paranoia: 2")},
		{"inspection is turned off", in, "", allowMesh},
		{"a rule is added", in, "", allowMesh + next + access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [GET]}]}`)},
		{"a listener is added", in, listeners("in="+again, "second="+app) + "  limits: {headBytes: 8192}\n", ""},
	}
	const least = 9
	if len(steps) < least {
		t.Errorf("%d steps, want %d", len(steps), least)
	}
	taken := map[*watched]int{}
	for _, s := range steps {
		was := l.served.Load()
		if s.spec != "" {
			taken[s.w]++
			s.w.write(t, s.spec)
			s.w.taken(t, taken[s.w])
		} else {
			s.w.policies(t, s.policies)
		}
		testkit.Eventually(t, "requests are served although "+s.name, func() bool { return l.reached(was + between) })
		if l.failed.Load() > 0 {
			t.Fatalf("requests failed when %s", s.name)
		}
	}
	l.finish()
	t.Logf("%d requests", l.served.Load())
}

func TestAListenerThatBecomesStrictEndsPlaintextThatIsOpen(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app, tcp := serveApp(t, hello), serveTCP(t, echo)
	w := watch(t, ca.Source(t, payments), listeners("web="+app+",mtls: Permissive", "raw="+tcp+",mtls: Permissive"))
	w.policies(t, allowAll)
	var web *wire
	testkit.Eventually(t, "plaintext is let in", func() bool {
		web = dial(t, w.Addresses()["web"]) // a caller that may do nothing is let go
		return web.get("/").StatusCode == 200
	})
	raw := dial(t, w.Addresses()["raw"])
	raw.send("\x00ping")
	raw.reads("\x00ping")
	w.write(t, listeners("web="+app+",mtls: Strict", "raw="+tcp+",mtls: Strict"))
	w.taken(t, 1)
	web.get("/").refused(t, 403, "plaintext_refused")
	raw.ended()
}

func TestAChangeDuringADrainOpensNothing(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	asked, goOn := make(chan struct{}), make(chan struct{})
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		hello(w, r)
	})
	s := side{source: ca.Source(t, payments), forward: app, policies: allowMesh}.start(t)
	busy := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	busy.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
	<-asked
	s.Stop()
	testkit.Eventually(t, "the listeners are closed", func() bool { return len(s.Addresses()) == 0 })
	if err := s.Reconfigure(inForce(t, s)); err == nil {
		t.Error("a configuration was taken over during a drain")
	}
	if len(s.Addresses()) != 0 {
		t.Error("listeners were opened during a drain")
	}
	close(goOn)
	busy.answer().wants(t, 200)
}

// inForce is the configuration in force, by way of its dump.
func inForce(t *testing.T, s *testkit.Sidecar) *config.Sidecar {
	t.Helper()
	text, err := json.Marshal(field(configDump(t, s), "sidecar"))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.ParseSidecar("dump.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
