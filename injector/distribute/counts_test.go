package distribute

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// listening runs a server on loopback until the test ends.
func listening(t *testing.T, w *world, src *identitytest.StaticSource) (*Server, string) {
	t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Mesh: w, Source: src, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// One replica may ask another, and nobody else may.
func TestReplicasAskEachOther(t *testing.T) {
	ca, w := identitytest.NewCA(t, "example.org"), newWorld()
	src := ca.Source(t, serverID)
	s, address := listening(t, w, src)
	p := newPupil()
	w.write(payments, "a", "1")
	session := meet(t, payments, p)
	talk(session, p, w.from(payments), epoch)
	s.hub.join(&member{session: session, leave: func(error) {}})
	defer s.hub.part(s.hub.sessions[payments])
	asked := []Revision{{"a", push.Version([]byte("1"))}, {"a", "other"}}
	counts, err := Ask(t.Context(), src, address, asked)
	if err != nil || counts[0].Have != 1 || counts[1].Have != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if _, err := Ask(t.Context(), src, address, make([]Revision, MaxAsked+1)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("more than there may be: %v", err)
	}
	// A workload neither answers nor asks.
	thief := ca.Source(t, paymentsID)
	_, other := listening(t, w, thief)
	if _, err := Ask(t.Context(), src, other, asked); err == nil {
		t.Error("a workload is taken for a replica")
	}
	if _, err := ask(t.Context(), thief, src.ID(), address, asked); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a workload asks: %v", err)
	}
}

func TestCountsAreAdded(t *testing.T) {
	c := Count{Have: 1, Refusals: 2, Refused: map[string]string{"a/b": "x"}}
	c.Add(Count{Have: 2, Refusals: 1, Refused: map[string]string{"a/c": "y", "a/d": "z", "a/e": "w"}})
	if c.Have != 3 || c.Refusals != 3 || len(c.Refused) != MaxRefused || c.Refused["a/b"] != "x" || c.Refused["a/e"] != "" {
		t.Errorf("%+v", c)
	}
}
