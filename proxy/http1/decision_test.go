package http1

import (
	"context"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// The id of a refusal has to reach the application that was refused, and nobody
// but a sidecar may make one up.
func TestDecisionIDsPassFromASidecarOnly(t *testing.T) {
	const (
		request = "GET / HTTP/1.1\r\nHost: a\r\nX-Outrider-Decision: mine\r\n\r\n"
		answer  = "HTTP/1.1 403 Forbidden\r\nX-Outrider-Decision: id\r\nX_Outrider_Decision: b\r\nx-outrider-peer: c\r\nContent-Length: 0\r\n\r\n"
	)
	for name, fromSidecar := range map[string]bool{"from a sidecar it passes": true, "from anybody else it is stripped": false} {
		t.Run(name, func(t *testing.T) {
			client, upstream := &scriptConn{segments: whole(request)}, &scriptConn{segments: whole(answer)}
			pool := NewPool(PoolOptions{
				ClientOptions: ClientOptions{Limits: testLimits(), Buffers: new(Buffers)},
				Dial: func(context.Context) (Dialed, error) {
					return Dialed{Conn: upstream, FromSidecar: fromSidecar}, nil
				},
			})
			t.Cleanup(pool.Close)
			server := NewServer(ServerOptions{Limits: testLimits(), Buffers: new(Buffers)})
			_ = server.NewConn(client).Serve(func(x *Exchange) {
				up, err := pool.Get(t.Context(), x.Started)
				if err != nil {
					t.Error(err)
					return
				}
				if _, failure := x.Forward(up, &message.Edits{}); failure != nil {
					t.Error(failure)
				}
			})
			if sent := strings.ToLower(upstream.sent.String()); strings.Contains(sent, "outrider") {
				t.Errorf("the next hop was sent %q", sent)
			}
			got := client.sent.String()
			if strings.Contains(got, "X-Outrider-Decision: id\r\n") != fromSidecar {
				t.Errorf("the client got %q", got)
			}
			if strings.Contains(got, "X_Outrider") || strings.Contains(got, "x-outrider-peer") {
				t.Errorf("another reserved field has passed: %q", got)
			}
		})
	}
}
