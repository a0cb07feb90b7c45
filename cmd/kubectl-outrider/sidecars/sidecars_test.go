package sidecars_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ports are what answers at the ports of the only pod.
type ports map[int]http.HandlerFunc

// DialPod connects to a server of its own for each connection.
func (p ports) DialPod(_ context.Context, namespace, name string, port int) (net.Conn, error) {
	h := p[port]
	if h == nil {
		return nil, fmt.Errorf("%s/%s: connection refused", namespace, name)
	}
	near, far := net.Pipe()
	l := &once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- far
	s := &http.Server{Handler: h, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			l.Close()
		}
	}}
	go s.Serve(l)
	return near, nil
}

// A once accepts one connection.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	select {
	case c := <-o.conn:
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (o *once) Close() error {
	select {
	case <-o.closed:
	default:
		close(o.closed)
	}
	return nil
}

func (o *once) Addr() net.Addr { return &net.TCPAddr{} }

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

const exposition = `# TYPE outrider_ready gauge
outrider_ready 1
# TYPE outrider_build_info gauge
outrider_build_info{version="v0.3.1",commit="abc"} 1
# TYPE outrider_policy_generation_info gauge
outrider_policy_generation_info{generation="0123456789abcdef"} 1
# TYPE outrider_identity_svid_expiry_timestamp_seconds gauge
outrider_identity_svid_expiry_timestamp_seconds 1.7e+09
# TYPE outrider_identity_bundle_expiry_timestamp_seconds gauge
outrider_identity_bundle_expiry_timestamp_seconds{trust_domain="b.org"} 2e+09
outrider_identity_bundle_expiry_timestamp_seconds{trust_domain="a.org"} 1.8e+09
# TYPE outrider_policy_load_errors_total counter
outrider_policy_load_errors_total 2
# TYPE outrider_connections_opened_total counter
outrider_connections_opened_total{direction="inbound",security="plaintext",peer="",protocol="http1"} 7
outrider_connections_opened_total{direction="inbound",security="plaintext",peer="",protocol="unknown"} 3
outrider_connections_opened_total{direction="inbound",security="mutual_tls",peer="x",protocol="http1"} 100
outrider_connections_opened_total{direction="outbound",security="plaintext",peer="",protocol="http1"} 1000
# TYPE outrider_connections_closed_total counter
outrider_connections_closed_total{direction="inbound",security="plaintext",peer="",protocol="unknown",reason="plaintext_refused"} 4
# TYPE outrider_inspections_total counter
outrider_inspections_total{direction="inbound",outcome="clean",reason="-"} 50
outrider_inspections_total{direction="inbound",outcome="not_inspected",reason="timeout"} 5
# TYPE outrider_captured_connections_total counter
outrider_captured_connections_total{direction="outbound",result="passthrough"} 9
outrider_captured_connections_total{direction="outbound",result="known"} 90
`

func TestFactsAreReadFromMetrics(t *testing.T) {
	p := sidecars.New(ports{15020: says(exposition)}, "shop", "web")
	got, err := p.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sidecars.Facts{
		Ready: true, Version: "v0.3.1", Generation: "0123456789abcdef",
		SVIDExpires: time.Unix(1_700_000_000, 0).UTC(), RootExpires: time.Unix(1_800_000_000, 0).UTC(),
		PoliciesRefused: 2, PlaintextTaken: 6, PlaintextRefused: 4, Uninspected: 5, Passed: 9,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutMetricsNothingIsMadeUp(t *testing.T) {
	got, err := sidecars.New(ports{15020: says("")}, "shop", "web").Facts(t.Context())
	if err != nil || got != (sidecars.Facts{}) {
		t.Errorf("%+v, %v", got, err)
	}
	at, err := sidecars.New(ports{15020: says("outrider_injector_webhook_certificate_expiry_timestamp_seconds 0\n")}, "shop", "web").WebhookExpires(t.Context())
	if err != nil || !at.IsZero() {
		t.Errorf("a certificate that is not there expires at %v, %v", at, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	cases := []struct {
		name, want string
		p          ports
	}{
		{"nobody listens", "connection refused", ports{}},
		{"no metrics", "the metrics of shop/web", ports{15020: says("}{")}},
		{"another status", "status 404", ports{15020: http.NotFound}},
		{"a redirect elsewhere", "status 302", ports{15020: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}}},
		{"too much", "more than 8388608 bytes", ports{15020: func(w http.ResponseWriter, _ *http.Request) {
			line := []byte("# " + strings.Repeat("x", 1<<16) + "\n")
			for range 130 {
				w.Write(line)
			}
		}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := sidecars.New(c.p, "shop", "web").Facts(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// admin answers the administration port as the real one does.
func admin(connections, decisions string) http.HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("/connections", says(connections))
	mux.HandleFunc("/decisions", says(decisions))
	return mux.ServeHTTP
}

func TestPlaintextCallersAreThoseWithoutAnIdentity(t *testing.T) {
	p := sidecars.New(ports{15000: admin(`[
  {"direction":"inbound","remote":"10.0.0.2:5000"},
  {"direction":"inbound","remote":"10.0.0.1:5000","peer":"spiffe://a"},
  {"direction":"outbound","remote":"10.0.0.9:80"}]`,
		`[{"direction":"inbound","security":"plaintext","source":{"address":"[fd00::1]:1"}},
  {"direction":"inbound","security":"plaintext","source":{"address":"10.0.0.2:5001"}},
  {"direction":"inbound","security":"mutual_tls","source":{"address":"10.0.0.8:1"}}]`)}, "shop", "web")
	got, err := p.PlaintextCallers(t.Context())
	if diff := cmp.Diff([]string{"10.0.0.2", "fd00::1"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func follow(t *testing.T, h http.HandlerFunc) (lines []string, lost int, err error) {
	t.Helper()
	err = sidecars.New(ports{15000: h}, "shop", "web").Follow(t.Context(), func(l *sidecars.Line) error {
		if l.Lost() {
			lost += l.Records
			return nil
		}
		lines = append(lines, string(l.Text))
		return nil
	})
	return lines, lost, err
}

func TestFollowingHandsOverWhatComes(t *testing.T) {
	lines, lost, err := follow(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/decisions?follow" {
			t.Errorf("asked for %s", r.URL)
		}
		io.WriteString(w, "\n{\"kind\":\"request\",\"path\":\"/a\"}\n\n{\"kind\":\"lost\",\"records\":7}\n{\"kind\":\"connection\"}\n")
	})
	if !errors.Is(err, sidecars.ErrEnded) || lost != 7 || len(lines) != 2 || !strings.Contains(lines[0], "/a") {
		t.Errorf("%q, %d lost, %v", lines, lost, err)
	}
}

func TestWhatIsNoRecordEndsFollowing(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "hello\n", "a line without end": "\"" + strings.Repeat("x", 65<<10)} {
		if lines, _, err := follow(t, says(text)); err == nil || errors.Is(err, sidecars.ErrEnded) || len(lines) > 0 {
			t.Errorf("%s: %q, %v", name, lines, err)
		}
	}
}

func TestASilentSidecarIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := follow(t, func(w http.ResponseWriter, r *http.Request) {
			for range 10 { // signs of life keep it
				io.WriteString(w, "\n")
				http.NewResponseController(w).Flush()
				<-time.After(19 * time.Second)
			}
			<-r.Context().Done()
		})
		if err == nil || !strings.Contains(err.Error(), "nothing came for 20s") {
			t.Errorf("error %v", err)
		}
	})
}

func TestFollowingEndsWithWhoeverFollows(t *testing.T) {
	enough := errors.New("enough")
	err := sidecars.New(ports{15000: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{}\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}}, "shop", "web").Follow(t.Context(), func(*sidecars.Line) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

// FuzzFacts: whatever a pod says, no count is negative and no time is before 1970.
func FuzzFacts(f *testing.F) {
	f.Add(exposition)
	f.Add("outrider_connections_opened_total{direction=\"inbound\",security=\"plaintext\"} NaN\n")
	f.Add("outrider_inspections_total{reason=\"-\"} 9e99\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := sidecars.New(ports{15020: says(text)}, "shop", "web").Facts(t.Context())
		if err != nil {
			return
		}
		if got.PoliciesRefused < 0 || got.PlaintextTaken < 0 || got.PlaintextRefused < 0 || got.Uninspected < 0 || got.Passed < 0 {
			t.Errorf("counts %+v", got)
		}
		for _, at := range []time.Time{got.SVIDExpires, got.RootExpires} {
			if !at.IsZero() && at.Unix() <= 0 {
				t.Errorf("time %v", at)
			}
		}
	})
}
