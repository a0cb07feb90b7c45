package issue_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	own      = spiffeid.RequireFromPath(domain, "/ns/outrider-system/sa/outrider-injector")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
)

// good is the token of checkout's pod.
const good = "good.to-ken_1"

// A cluster is a Reviewer that knows some tokens.
type cluster struct {
	mu     sync.Mutex
	tokens map[string]issue.Verdict
	err    error
	asked  atomic.Int64
	hold   chan struct{} // nil: reviews are at once
}

func (c *cluster) Review(ctx context.Context, token string) (issue.Verdict, error) {
	c.asked.Add(1)
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return issue.Verdict{}, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[token], c.err
}

func (c *cluster) set(token string, v issue.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[token] = v
}

func pod(user string) issue.Verdict {
	return issue.Verdict{
		Authenticated: true, Audiences: []string{wire.Audience}, Username: user,
		Pod: "checkout-1", PodUID: "uid-1", Node: "node-1",
	}
}

// A world is an issuer with its CA and a cluster.
type world struct {
	t       testing.TB
	cluster *cluster
	store   *keeper.Memory
	keeper  *keeper.Keeper
	opts    issue.Options
	server  *issue.Server
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

func newWorld(t testing.TB, bend ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, store: new(keeper.Memory), log: new(bytes.Buffer), metrics: prometheus.NewRegistry(),
		cluster: &cluster{tokens: map[string]issue.Verdict{good: pod("system:serviceaccount:shop:checkout")}},
	}
	var err error
	if w.keeper, err = keeper.New(keeper.Options{Store: w.store, ID: own}); err != nil {
		t.Fatal(err)
	}
	w.opts = issue.Options{
		Signer: w.keeper, Reviewer: w.cluster, Reserved: []spiffeid.ID{own}, Metrics: issue.NewMetrics(w.metrics),
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.keeper.Round(t.Context())
	for _, b := range bend {
		b(w)
	}
	if w.server, err = issue.New(w.opts); err != nil {
		t.Fatal(err)
	}
	return w
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCSR(t testing.TB) []byte {
	t.Helper()
	return requestFor(t, newKey(t))
}

// requestFor is a request for a key, which says somebody else's name.
func requestFor(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"bank.example.org"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func body(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// post asks for an SVID.
func (w *world) post(token string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, wire.PathSVID, bytes.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.serve(r)
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

// issued asks for an SVID and gets it.
func (w *world) issued(token string) (wire.SVIDAnswer, []*x509.Certificate) {
	w.t.Helper()
	rec := w.post(token, body(w.t, wire.SVIDRequest{CSR: newCSR(w.t)}))
	if rec.Code != http.StatusOK {
		w.t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	answer, chain, err := wire.DecodeAnswer(rec.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, chain
}

// counted reads a metric; with a label, that one only.
func (w *world) counted(name, label string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

var errAway = errors.New("the API server is away")

// later is past the next half-life of anything short.
func later(d time.Duration) <-chan time.Time { return time.After(d) }
