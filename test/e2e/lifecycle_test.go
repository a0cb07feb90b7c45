package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// A slowApp answers "/slow" when it is told to.
type slowApp struct {
	addr  string
	asked chan struct{}
	goOn  chan struct{}
}

func newSlowApp(t *testing.T) *slowApp {
	t.Helper()
	a := &slowApp{asked: make(chan struct{}, 8), goOn: make(chan struct{})}
	a.addr = serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			a.asked <- struct{}{}
			select {
			case <-a.goOn:
			case <-r.Context().Done():
			}
		}
		hello(w, r)
	})
	return a
}

const slow = "GET /slow HTTP/1.1\r\nHost: payments\r\n\r\n"

func TestADrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	app := newSlowApp(t)
	p := newPair(t, side{forward: app.addr}, side{})
	idle := dialMesh(t, p.in.Address(t, "in"), p.outID, h1)
	idle.get("/").wants(t, 200)
	busy := dialMesh(t, p.in.Address(t, "in"), p.outID, h1)
	busy.send(slow)
	<-app.asked
	addr := p.in.Address(t, "in")

	p.in.Stop()
	if rest, err := idle.ended(); rest != "" || err != nil {
		t.Errorf("the idle connection ended with %q, %v: want an orderly end", rest, err)
	}
	idle.Close()
	testkit.Eventually(t, "not ready, for draining", func() bool {
		ok, missing := ready(t, p.in)
		return !ok && strings.Contains(missing, "listeners")
	})
	testkit.Eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-p.in.Done():
		t.Fatal("the sidecar ended under a request")
	default:
	}
	close(app.goOn)
	if a := busy.answer().wants(t, 200); a.body != "hello" || !a.Close {
		t.Errorf("the request in progress got %q, Connection: close %v", a.body, a.Close)
	}
	busy.Close()
	if err := p.in.Wait(); err != nil {
		t.Error(err)
	}
	p.in.Log.AwaitReason(t, "draining")
}

func TestADrainOfTheCallersSidecarLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	app := newSlowApp(t)
	p := newPair(t, side{forward: app.addr}, side{})
	busy := dial(t, p.out.Address(t, "out"))
	busy.send(slow)
	<-app.asked
	p.out.Stop()
	testkit.Eventually(t, "not ready", func() bool { ok, _ := ready(t, p.out); return !ok })
	close(app.goOn)
	if a := busy.answer().wants(t, 200); !a.Close {
		t.Error("the answer does not say that the connection ends")
	}
	busy.Close()
	p.out.Wait()
}

func TestADrainCutsOffWhatIsTooSlow(t *testing.T) {
	t.Parallel()
	app := newSlowApp(t)
	tcp := serveTCP(t, echo)
	ca := identitytest.NewCA(t, "example.org")
	peer := ca.Source(t, checkout)
	web := side{source: ca.Source(t, payments), forward: app.addr, policies: allowMesh, spec: "  drain: {timeout: 200ms}"}.start(t)
	raw := side{source: ca.Source(t, payments), forward: tcp, policies: allowMesh, spec: "  drain: {timeout: 200ms}"}.start(t)
	busy := dialMesh(t, web.Address(t, "in"), peer, h1)
	busy.send(slow)
	<-app.asked
	opaque := dialMesh(t, raw.Address(t, "in"), peer, "outrider/1+tcp")
	opaque.send("ping")
	opaque.reads("ping")
	handshake := dial(t, web.Address(t, "in"))
	handshake.send("\x16\x03\x01")
	web.Stop()
	raw.Stop()
	for _, s := range []*testkit.Sidecar{web, raw} {
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		s.Log.AwaitReason(t, "draining")
	}
	if _, err := busy.tryAnswer(); err == nil {
		t.Error("a request that was cut off was answered")
	}
	opaque.ended()
	handshake.ended()
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	app := newSlowApp(t)
	p := newPair(t, side{forward: app.addr, spec: "  drain: {timeout: 1h}"}, side{spec: "  drain: {timeout: 1h}"})
	busy := dial(t, p.out.Address(t, "out"))
	busy.send(slow)
	<-app.asked
	for _, s := range []*testkit.Sidecar{p.out, p.in} {
		s.Stop()
		testkit.Eventually(t, "draining", func() bool { ok, _ := ready(t, s); return !ok })
	}
	for _, s := range []*testkit.Sidecar{p.in, p.out} { // the application never answers
		s.Kill()
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	}
	busy.ended()
}

func TestAStopBeforeThereIsAnIdentityEnds(t *testing.T) {
	t.Parallel()
	ca := newCA(t, "example.org")
	path, endpoint := workloadAPI(t, ca, payments)
	endpoint.Close()
	s := side{forward: serveApp(t, hello), spec: identityFrom(path), notReady: true}.start(t)
	if ok, missing := ready(t, s); ok || !strings.Contains(missing, "identity") {
		t.Errorf("ready %v, missing %q", ok, missing)
	}
	s.Stop()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestTheAdministrationPortDrains(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), policies: allowMesh}.start(t)
	open := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	open.get("/").wants(t, 200)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := c.Post("http://"+s.AdminAddress()+"/quitquitquit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Errorf("status %d", res.StatusCode)
	}
	open.ended()
	open.Close()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}
