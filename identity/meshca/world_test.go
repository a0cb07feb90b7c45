package meshca_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	own      = spiffeid.RequireFromPath(domain, "/ns/outrider-system/sa/outrider-injector")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
	payments = spiffeid.RequireFromPath(domain, "/ns/shop/sa/payments")
)

// quick changes roots within hours.
var quick = ca.Policy{Announce: 2 * time.Hour, Retire: 2 * time.Hour}

// A network has one listener, which may be away.
type network struct {
	mu    sync.Mutex
	conns chan net.Conn
	open  []net.Conn
	away  bool
	dials int
}

var errRefused = errors.New("connection refused")

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	if n.away {
		return nil, errRefused
	}
	here, there := memnet.Pipe(1 << 16)
	n.open = append(n.open, here, there)
	n.conns <- there
	return here, nil
}

// goes makes the listener go, with its connections, or come.
func (n *network) goes(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = away
	if away {
		for _, c := range n.open {
			c.Close()
		}
		n.open = nil
	}
}

func (n *network) dialed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// A listener takes what is dialed in a network.
type listener struct {
	*network

	once   sync.Once
	closed chan struct{}
}

func newListener() *listener {
	return &listener{network: &network{conns: make(chan net.Conn, 64)}, closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// A world is the real issuer in a network of memory.
type world struct {
	t      *testing.T
	dir    string
	store  *keeper.Memory
	keeper *keeper.Keeper
	net    *listener
	tokens *tokens
	log    *safeLog
}

// tokens say whose tokens are: the one "checkout" is of the account checkout.
type tokens struct {
	mu      sync.Mutex
	revoked map[string]bool
	seen    []string
}

func (k *tokens) Review(_ context.Context, token string) (issue.Verdict, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, token)
	account, _, _ := strings.Cut(token, ".")
	return issue.Verdict{
		Authenticated: !k.revoked[token], Audiences: []string{wire.Audience},
		Username: "system:serviceaccount:shop:" + account, Pod: account + "-1", PodUID: token,
	}, nil
}

type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts an issuer; call it in a bubble.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), store: new(keeper.Memory), net: newListener(), log: new(safeLog),
		tokens: &tokens{revoked: map[string]bool{}},
	}
	var err error
	if w.keeper, err = keeper.New(keeper.Options{Store: w.store, ID: own, Policy: quick}); err != nil {
		t.Fatal(err)
	}
	w.keeper.Round(t.Context())
	w.anchors("ca.pem", w.keeper.Current().Bundles)
	server, err := issue.New(issue.Options{Signer: w.keeper, Reviewer: w.tokens})
	if err != nil {
		t.Fatal(err)
	}
	w.run(w.keeper.Run)
	w.run(func(ctx context.Context) error { return server.Serve(ctx, w.net) })
	return w
}

// run runs until the test ends.
func (w *world) run(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// anchors writes the roots of our trust domain.
func (w *world) anchors(name string, bundles *x509bundle.Set) string {
	w.t.Helper()
	own, ok := bundles.Get(domain)
	if !ok {
		w.t.Fatal("there is no bundle")
	}
	var text []byte
	for _, root := range own.X509Authorities() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	return w.write(name, string(text))
}

func (w *world) options(account string) meshca.Options {
	return meshca.Options{
		Address: "issuer.test:15012", Server: own, Dial: w.net.dial,
		Token: w.write("token-"+account, account+".1\n"), TrustAnchors: filepath.Join(w.dir, "ca.pem"),
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(w.log, w.t.Output()), nil)),
	}
}

// start starts a source and lets it come to rest.
func (w *world) start(opts meshca.Options) *meshca.Source {
	w.t.Helper()
	s, err := meshca.New(opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(s.Run)
	synctest.Wait()
	return s
}

func pass(d time.Duration) {
	<-time.After(d) // synctest's clock
	synctest.Wait()
}

func leaf(snap *identity.Snapshot) string { return snap.SVID.Certificates[0].SerialNumber.String() }

// says tells what a snapshot complains about.
func says(t *testing.T, s *meshca.Source, texts ...string) {
	t.Helper()
	err := s.Current().Err
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the snapshot says %v, and not %q", err, text)
		}
	}
}
