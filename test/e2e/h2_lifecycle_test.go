package e2e

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/test/rawh2"
)

// A patientApp is an application of HTTP/2 that answers /held when it is told to.
type patientApp struct {
	addr  string
	asked chan struct{}
	goOn  chan struct{}
}

func newPatientApp(t *testing.T) *patientApp {
	t.Helper()
	a := &patientApp{asked: make(chan struct{}, 8), goOn: make(chan struct{})}
	a.addr = serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			a.asked <- struct{}{}
			select {
			case <-a.goOn:
			case <-r.Context().Done():
			}
		}
		grpcHello(w, r)
	})
	return a
}

// A sidecar that drains lets the calls under way finish, and those that come meanwhile
// are made of another endpoint.
func TestADrainMovesNewCallsElsewhere(t *testing.T) {
	t.Parallel()
	apps := []*patientApp{newPatientApp(t), newPatientApp(t)}
	p := newPair(t, side{forward: apps[0].addr}, side{})
	second := side{source: p.inID, forward: apps[1].addr, policies: allowMesh}.start(t)
	out := side{source: p.outID, to: []string{p.in.Address(t, "in"), second.Address(t, "in")}}.start(t)
	c := dialH2(t, out.Address(t, "out"))
	c.must(c.Call(1, true, "/held"))

	drained, app := p.in, apps[0]
	select {
	case <-apps[0].asked:
	case <-apps[1].asked:
		drained, app = second, apps[1]
	}
	drained.Stop()
	testkit.Eventually(t, "it drains", func() bool { ok, _ := ready(t, drained); return !ok })
	const calls = 30
	for i := range calls {
		isOK(t, c.grpc(odd(i+1), charge))
	}
	select {
	case <-drained.Done():
		t.Fatal("the sidecar ended under a call")
	default:
	}
	close(app.goOn)
	isOK(t, c.answer(1))
	if err := drained.Wait(); err != nil {
		t.Error(err)
	}
	isOK(t, c.grpc(odd(calls+1), charge))
}

// An application whose own sidecar drains is told not to open more streams, and which
// one was the last, and the connection ends with the last answer.
func TestADrainSaysGoodbyeTwice(t *testing.T) {
	t.Parallel()
	app := newPatientApp(t)
	p := newPair(t, side{forward: app.addr}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	c.must(c.Call(1, true, "/held"))
	<-app.asked
	p.out.Stop()
	first := c.goodbye()
	if first.ErrCode != http2.ErrCodeNo || first.LastStreamID != 1<<31-1 {
		t.Errorf("the first goodbye is %v", first)
	}
	c.must(c.Framer.WritePing(false, [8]byte{1})) // Next answers that of the sidecar
	if last := c.goodbye(); last.ErrCode != http2.ErrCodeNo || last.LastStreamID != 1 {
		t.Errorf("the second goodbye is %v", last)
	}
	close(app.goOn)
	isOK(t, c.answer(1))
	if _, err := c.Next(); err == nil {
		t.Error("the connection goes on")
	}
	if err := p.out.Wait(); err != nil {
		t.Error(err)
	}
}

// goodbye reads up to the next GOAWAY.
func (c *h2caller) goodbye() *http2.GoAwayFrame {
	c.t.Helper()
	for {
		f, err := c.Next()
		if err != nil {
			c.t.Fatalf("waiting for GOAWAY: %v", err)
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			return g
		}
	}
}

// An application that is stopped and started again has its sidecar's connections end.
// What may be sent twice does not notice.
func TestAnApplicationOfHTTP2IsRestarted(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	p := newPair(t, side{forward: addr}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	const restarts = 10
	for i := range restarts {
		s := h2Server(hello)
		serveOn(t, s, ln)
		isHello(t, c.ask(uint32(4*i+1), "/"))
		isHello(t, c.ask(uint32(4*i+3), "/"))
		s.Close()
		if ln, err = net.Listen("tcp", addr); err != nil {
			t.Fatal(err)
		}
	}
	ln.Close()
	a := c.ask(4*restarts+1, "/")
	if a.Last(":status") != "502" {
		t.Errorf("with no application the answer is %+v", a.Heads)
	}
}

// The sidecar of the other side is stopped and started again at the same address.
func TestASidecarIsRestartedUnderHTTP2(t *testing.T) {
	t.Parallel()
	app := serveH2(t, grpcHello)
	p := newPair(t, side{forward: app}, side{})
	addr := p.in.Address(t, "in")
	c := dialH2(t, p.out.Address(t, "out"))
	next, id := p.in, uint32(1)
	const restarts = 4
	for range restarts {
		isOK(t, c.grpc(id, charge))
		next.Stop()
		if err := next.Wait(); err != nil {
			t.Error(err)
		}
		next = testkit.Start(t, testkit.Options{
			Name: "payments", Source: p.inID, Policies: allowMesh,
			YAML: "  inbound: [{name: in, listen: \"" + addr + "\", forward: \"" + app + "\"}]\n" + ports,
		})
		isOK(t, c.grpc(id+2, charge))
		id += 4
	}
}

// A sidecar that vanishes is noticed when its connection breaks, and no call waits for
// it: it fails, or is made of another one.
func TestASidecarIsKilledUnderHTTP2(t *testing.T) {
	t.Parallel()
	app := newPatientApp(t)
	p := newPair(t, side{forward: app.addr, spec: "  drain: {timeout: 1h}"}, side{})
	addr := p.in.Address(t, "in")
	c := dialH2(t, p.out.Address(t, "out"))
	c.must(c.Call(1, true, "/held"))
	<-app.asked
	p.in.Stop()
	p.in.Kill()
	if err := p.in.Wait(); err != nil {
		t.Error(err)
	}
	record := isRefusal(t, p.out, c.answer(1), "14", "upstream_closed")
	if record["upstream"] != addr {
		t.Errorf("the record says %v", record)
	}
}

// A stream that is open while the configuration moves the application goes on with the
// old one, and the next one on the same connection goes to the new one.
func TestAReloadMovesStreamsOneByOne(t *testing.T) {
	t.Parallel()
	old, moved := newPatientApp(t), newPatientApp(t)
	p := newPair(t, side{forward: old.addr}, side{})
	w := watch(t, p.inID, listeners("in="+old.addr))
	c := newCaller(t, dialMesh(t, w.Addresses()["in"], p.outID, h2))
	c.must(c.Call(1, true, "/held"))
	<-old.asked
	w.write(t, listeners("in="+moved.addr))
	w.taken(t, 1)
	c.must(c.Call(3, true, "/held"))
	<-moved.asked
	close(moved.goOn)
	isOK(t, c.answer(3))
	close(old.goOn)
	isOK(t, c.answer(1))

	w.write(t, listeners("other="+moved.addr))
	w.taken(t, 2)
	// The listener is gone: the stream is refused, or the connection is closed.
	err := c.Call(5, true, charge)
	if err != nil {
		return
	}
	a, err := c.Answer(5)
	switch {
	case errors.Is(err, rawh2.ErrGoAway), err != nil && len(a.Heads) == 0:
	case a.Last("grpc-status") != "14":
		t.Errorf("the call was answered with %+v, %v", a.Heads, err)
	}
}

// Rules that speak of methods and paths are for requests: they end no connection, and
// one that ends well has no record of its own.
func TestCallsShareAConnectionUnderRulesOfHTTP(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{
		forward:  serveH2(t, grpcHello),
		policies: access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [POST], paths: ["`+charge+`"]}]}`),
	}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	const calls = 50
	for i := range calls {
		isOK(t, c.grpc(odd(i), charge))
	}
	c.Close()
	testkit.Eventually(t, "the caller is gone", func() bool { return metric(t, p.out, "outrider_connections_closed_total") == 1 })
	p.out.Stop()
	if err := p.out.Wait(); err != nil {
		t.Error(err)
	}
	counted(t, p.in, 1, "outrider_connections_closed_total")
	if made := metric(t, p.in, "outrider_connections_closed_total"); made != 1 {
		t.Errorf("%d calls went over %v connections", calls, made)
	}
	for _, s := range []*testkit.Sidecar{p.in, p.out} {
		for _, r := range s.Log.Records(t) {
			if r["kind"] == "connection" {
				t.Errorf("a record of a connection that ended well: %v", r)
			}
		}
	}
}
