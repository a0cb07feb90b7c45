package e2e

import (
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/test/rawh2"
)

// TestFailureTableOverHTTP2 holds the rows of the failure table that come out otherwise
// where requests share a connection.
func TestFailureTableOverHTTP2(t *testing.T) {
	t.Parallel()
	rows := []struct {
		when, then string
		run        func(*testing.T)
	}{
		{"SVID expired and no new one", "calls are refused as no_identity; the streams that are open end", h2SVIDExpired},
		{"peer certificate expires", "GOAWAY at its NotAfter; streams that are open finish", h2PeerExpires},
		{"panic in a request", "that connection and all of its streams end, counted; the process lives", h2Panic},
		{"out of limits", "a stream too many is reset as REFUSED_STREAM, and may be sent again", h2TooManyStreams},
		{"bytes that are not HTTP/2 behind its preface", "GOAWAY, counted as bad_request", h2NotHTTP2},
	}
	const least = 5
	if len(rows) < least {
		t.Errorf("%d rows, want %d", len(rows), least)
	}
	for _, row := range rows {
		t.Run(row.when, func(t *testing.T) {
			t.Parallel()
			t.Logf("when %s, then %s", row.when, row.then)
			row.run(t)
		})
	}
}

func h2SVIDExpired(t *testing.T) {
	p := newPair(t, side{forward: serveH2(t, holds)}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	c.must(c.Call(1, false, "/held"))
	isOK(t, c.grpc(3, charge))
	p.outID.Rotate(t, devca.IssueOptions{NotAfter: time.Now().Add(2 * time.Second).Truncate(time.Second)})
	if a := c.answer(1); a.Last("grpc-status") != "14" {
		t.Errorf("the open stream was answered with %+v", a.Heads)
	}
	isRefusal(t, p.out, c.grpc(5, charge), "14", "no_identity")
}

func h2PeerExpires(t *testing.T) {
	app := newPatientApp(t)
	ca := identitytest.NewCA(t, "example.org")
	in := side{source: ca.Source(t, payments), forward: app.addr, policies: allowMesh}.start(t)
	peer := ca.Source(t, checkout)
	peer.Rotate(t, devca.IssueOptions{NotAfter: time.Now().Add(3 * time.Second).Truncate(time.Second)})
	c := meshH2(t, in.Address(t, "in"), peer)
	c.must(c.Call(1, true, "/held"))
	<-app.asked
	if g := c.goodbye(); g.ErrCode != http2.ErrCodeNo {
		t.Errorf("the goodbye is %v", g)
	}
	close(app.goOn)
	isOK(t, c.answer(1))
	for {
		if _, err := c.Next(); err != nil {
			return // the connection ends behind the last stream
		}
	}
}

func h2Panic(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	app := serveH2(t, holds)
	in := side{source: ca.Source(t, payments), forward: app, policies: allowMesh}.start(t)
	outID := &trap{Source: ca.Source(t, checkout)}
	out := side{source: outID, to: []string{in.Address(t, "in")}, spec: "  limits: {upstreamIdleTimeout: 50ms}"}.start(t)
	bystander := dialH2(t, out.Address(t, "out"))
	isOK(t, bystander.grpc(1, charge))
	testkit.Eventually(t, "the hop is gone", func() bool {
		return metric(t, in, "outrider_connections_closed_total") == 1
	})
	c := dialH2(t, out.Address(t, "out"))
	outID.armed.Store(true)
	c.must(c.Call(1, true, charge))
	if a, err := c.Answer(1); err == nil {
		t.Errorf("the call was answered with %+v", a.Heads)
	}
	outID.armed.Store(false)
	counted(t, out, 1, "outrider_panics_total")
	out.Log.AwaitReason(t, "internal")
	isOK(t, bystander.grpc(3, charge))
	isOK(t, dialH2(t, out.Address(t, "out")).grpc(1, charge))
}

func h2TooManyStreams(t *testing.T) {
	p := newPair(t, side{forward: serveH2(t, holds)}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	const most = 100
	for i := range most {
		c.must(c.Call(odd(i), true, "/held"))
	}
	c.must(c.Call(odd(most), true, charge))
	for {
		f, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := f.(*http2.RSTStreamFrame); ok && r.StreamID == odd(most) {
			if r.ErrCode != http2.ErrCodeRefusedStream {
				t.Errorf("the stream too many was reset with %v", r.ErrCode)
			}
			break
		}
	}
	c.must(c.Framer.WriteRSTStream(1, http2.ErrCodeCancel))
	testkit.Eventually(t, "there is room again", func() bool {
		return metric(t, p.out, "outrider_requests_total", `reason="client_closed"`) > 0
	})
	isOK(t, c.grpc(odd(most+1), charge))
}

func h2NotHTTP2(t *testing.T) {
	p := newPair(t, side{forward: serveH2(t, grpcHello)}, side{})
	w := dialMesh(t, p.in.Address(t, "in"), p.outID, h2)
	w.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: payments\r\n\r\n")
	code, _, err := rawh2.New(w).GoAway()
	if err != nil || code == http2.ErrCodeNo {
		t.Errorf("the connection ended with %v, %v", code, err)
	}
	counted(t, p.in, 1, "outrider_connections_closed_total", `reason="bad_request"`)
}
