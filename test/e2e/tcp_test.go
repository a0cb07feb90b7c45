package e2e

import (
	"bytes"
	"io"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestOpaqueBytesPassTwoSidecarsWithHalfClose(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	payload := bytes.Repeat([]byte("\x00opaque bytes\xff"), size/14)
	finished := make(chan int, 1)
	app := serveTCP(t, func(c *netConn) {
		got, err := io.ReadAll(c) // until the client has closed its half
		if err != nil {
			t.Error(err)
		}
		finished <- len(got)
		c.Write(got)
		c.CloseWrite() // the server's half ends behind the answer
		io.Copy(io.Discard, c)
	})
	for _, listener := range []string{"", ", protocol: TCP"} {
		p := newPair(t, side{forward: app}, side{listener: listener})
		w := dial(t, p.out.Address(t, "out"))
		w.send(string(payload))
		w.closeWrite()
		if n := <-finished; n != len(payload) {
			t.Errorf("the application got %d bytes before the end, want %d", n, len(payload))
		}
		if rest, err := w.ended(); err != nil || rest != string(payload) {
			t.Errorf("came back: %d bytes, %v; want %d and an orderly end", len(rest), err, len(payload))
		}
		for _, s := range []*testkit.Sidecar{p.in, p.out} {
			r := s.Log.Await(t, "the connection", func(r map[string]any) bool { return r["kind"] == "connection" })
			if r["protocol"] != "tcp" || r["security"] != "mutual_tls" || r["reason"] != nil ||
				r["received_bytes"] != float64(len(payload)) || r["sent_bytes"] != float64(len(payload)) {
				t.Errorf("the record is %v", r)
			}
			if field(r, "source", "id") != checkout || field(r, "destination", "id") != payments {
				t.Errorf("the record's identities: %v, %v", r["source"], r["destination"])
			}
		}
	}
}

func TestTheServersHalfMayEndFirst(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	app := serveTCP(t, func(c *netConn) {
		io.WriteString(c, "all I have to say")
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	})
	p := newPair(t, side{forward: app}, side{listener: ", protocol: TCP"})
	w := dial(t, p.out.Address(t, "out"))
	if rest, err := w.ended(); rest != "all I have to say" || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
	w.send("and I have more")
	w.closeWrite()
	if b := <-got; b != "and I have more" {
		t.Errorf("the application got %q", b)
	}
}

func TestATunnelThatBreaksDoesNotEndInGoodOrder(t *testing.T) {
	t.Parallel()
	app := serveTCP(t, func(c *netConn) {
		io.ReadFull(c, make([]byte, 5))
		io.WriteString(c, "partly")
		c.SetLinger(0) // and a reset
	})
	p := newPair(t, side{forward: app}, side{listener: ", protocol: TCP"})
	w := dial(t, p.out.Address(t, "out"))
	w.send("hello")
	if rest, err := w.ended(); err == nil {
		t.Errorf("a stream that was reset ended in good order after %q", rest)
	}
	p.in.Log.AwaitReason(t, "upstream_closed")
}

func TestTheServerMaySpeakFirst(t *testing.T) {
	t.Parallel()
	const greeting = "220 mail.example.org ESMTP\r\n"
	app := serveTCP(t, func(c *netConn) {
		io.WriteString(c, greeting)
		echo(c)
	})
	p := newPair(t, side{forward: app}, side{})
	for range 3 {
		w := dial(t, p.out.Address(t, "out"))
		w.reads(greeting)
		w.send("EHLO x\r\n")
		w.reads("EHLO x\r\n")
	}
	// A peer that is no Outrider and offers no protocol waits as well.
	w := dialMesh(t, p.in.Address(t, "in"), p.outID)
	w.reads(greeting)
}

func TestAPortWhoseFirstClientWasSilentStillServesHTTP(t *testing.T) {
	t.Parallel()
	l7 := access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [GET]}]}`)
	p := newPair(t, side{forward: serveApp(t, hello), policies: l7}, side{})
	dial(t, p.out.Address(t, "out"))    // a client that connects ahead of need
	p.in.Log.AwaitReason(t, "not_http") // the sidecar has taken it for one that waits
	testkit.Eventually(t, "HTTP is served", func() bool {
		w := dial(t, p.out.Address(t, "out"))
		if _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n"); err != nil {
			return false
		}
		a, err := w.tryAnswer()
		return err == nil && a.StatusCode == 200
	})
}

func TestAnOpaqueConnectionNeedsAnIdentityAndAPermission(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	reached := make(chan struct{}, 8)
	app := serveTCP(t, func(c *netConn) {
		reached <- struct{}{}
		echo(c)
	})
	s := side{source: ca.Source(t, payments), forward: app, policies: access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`)}.start(t)
	denied := dialMesh(t, s.Address(t, "in"), ca.Source(t, intruder), "outrider/1+tcp")
	io.WriteString(denied, "hello")
	if rest, _ := denied.ended(); rest != "" {
		t.Errorf("the intruder was told %q", rest)
	}
	r := s.Log.AwaitReason(t, "access_denied")
	if field(r, "source", "id") != intruder || field(r, "decision", "verdict") != "deny" {
		t.Errorf("the record is %v", r)
	}
	if len(reached) != 0 {
		t.Error("the intruder reached the application")
	}
	allowed := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), "outrider/1+tcp")
	allowed.send("hello")
	allowed.reads("hello")
}

func TestOpaqueBytesAndAnApplicationThatIsDown(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: nobody(t)}, side{listener: ", protocol: TCP"})
	w := dial(t, p.out.Address(t, "out"))
	io.WriteString(w, "hello")
	if rest, err := w.ended(); rest != "" {
		t.Errorf("read %q, %v", rest, err)
	}
	p.in.Log.AwaitReason(t, "connect")
}
