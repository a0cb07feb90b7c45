package e2e

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

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
	// The listener is gone with it, so an idle connection ends in good order; a
	// request that was quicker is told why it is refused.
	app.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
	switch a, err := app.tryAnswer(); {
	case err == nil:
		a.refused(t, 503, "no_destination")
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		t.Errorf("neither an end in good order nor a refusal: %v", err)
	}
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
		{"a rule is added", in, "", allowMesh + next + access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [POST]}]}`)},
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
		if web.get("/").StatusCode != 200 {
			return false
		}
		// It may have connected before it was let in, and then this was the last answer.
		io.WriteString(web, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
		a, err := web.tryAnswer()
		return err == nil && a.StatusCode == 200
	})
	raw := dial(t, w.Addresses()["raw"])
	raw.send("\x00ping")
	raw.reads("\x00ping")
	w.write(t, listeners("web="+app+",mtls: Strict", "raw="+tcp+",mtls: Strict"))
	w.taken(t, 1)
	// It may have been let go already, as it was idle; if not, it gets no further.
	if _, err := io.WriteString(web, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n"); err == nil {
		if a, err := web.tryAnswer(); err == nil {
			a.refused(t, 403, "plaintext_refused")
		}
	}
	dial(t, w.Addresses()["web"]).get("/").refused(t, 403, "plaintext_refused")
	raw.ended()
}
