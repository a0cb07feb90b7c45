package e2e

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Events pass when they happen, over either version of HTTP and with inspection on.
func TestEventsAreNotHeldBack(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetUnencryptedHTTP2(http2)
			seen := make(chan struct{})
			app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: first\n\n")
				w.(http.Flusher).Flush()
				select {
				case <-seen: // the second does not exist before the first has arrived
				case <-r.Context().Done():
				}
				io.WriteString(w, "data: second\n\n")
			}))
			app.Config.Protocols = protocols
			app.Start()
			t.Cleanup(app.Close)
			p := newPair(t, side{forward: app.Listener.Addr().String(), policies: allowMesh + next + inspection("mode: Block")}, side{})
			transport := &http.Transport{Protocols: protocols}
			t.Cleanup(transport.CloseIdleConnections)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.out.Address(t, "out")+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if want := map[bool]int{false: 1, true: 2}[http2]; res.ProtoMajor != want {
				t.Errorf("the answer came over %s", res.Proto)
			}
			br := bufio.NewReader(res.Body)
			if line, err := br.ReadString('\n'); line != "data: first\n" {
				t.Fatalf("%q, %v before the second event exists", line, err)
			}
			close(seen)
			if rest, err := io.ReadAll(br); string(rest) != "\ndata: second\n\n" || err != nil {
				t.Errorf("then %q, %v", rest, err)
			}
			r := p.in.Log.Await(t, "the stream", func(r map[string]any) bool { return r["path"] == "/events" })
			if r["stream"] != "sse" || field(r, "waf", "outcome") != "clean" {
				t.Errorf("the record is %v", r)
			}
			counted(t, p.in, 1, "outrider_streams_total", `direction="inbound"`, `class="sse"`)
			counted(t, p.out, 1, "outrider_streams_total", `direction="outbound"`, `class="sse"`)
		})
	}
}
