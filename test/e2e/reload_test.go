package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/config"
)

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
