package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/identity/workload"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/quic"
)

// crowdEnv holds what the crowd is to do; it is a process of its own, so that
// the memory and the file descriptors of clients are not counted with ours.
const crowdEnv = "OUTRIDER_E2E_CROWD"

type crowdJob struct {
	Address, Socket string
	Connections     int
	// QUIC is where connections are streams; empty: they are TCP's.
	QUIC string
}

func TestManyIdleConnectionsAreHeldAndServed(t *testing.T) { // not parallel: it weighs the process
	n := 10_000
	if raceDetector {
		n = 500
		t.Logf("ONLY %d CONNECTIONS: the race detector makes handshakes too dear for more", n)
	}
	if testing.Short() {
		n = min(n, 500)
	}
	if room := fileDescriptors(t) - 500; room < n {
		t.Logf("ONLY %d CONNECTIONS instead of %d: that is what `ulimit -n` allows", room, n)
		n = room
	}
	ca := newCA(t, "example.org")
	inSocket, _ := workloadAPI(t, ca, payments)
	outSocket, _ := workloadAPI(t, ca, checkout)
	s := side{
		forward: serveApp(t, hello), policies: allowMesh,
		spec: identityFrom(inSocket) + fmt.Sprintf("  limits: {connections: %d, idleTimeout: 1h}\n  accessLog: {output: \"off\"}\n", n+10),
	}.start(t)
	before := weigh(t)
	c := startCrowd(t, crowdJob{Address: s.Address(t, "in"), Socket: "unix://" + outSocket, Connections: n})
	c.says("open " + strconv.Itoa(n))
	if active := metric(t, s, "outrider_connections_active"); active != float64(n) {
		t.Errorf("%v connections are open, want %d", active, n)
	}
	after := weigh(t)
	heap, rss := after.heap-before.heap, after.rss-before.rss
	t.Logf("%d idle mTLS connections: %.1f KiB of live heap and stacks and %.1f KiB of resident memory each",
		n, float64(heap)/float64(n)/1024, float64(rss)/float64(n)/1024)
	const generous = 5 * 20 << 10 // bytes: the budget is 20 KiB
	if !raceDetector && heap/int64(n) > generous {
		t.Errorf("%d bytes for a connection that is idle", heap/int64(n))
	}
	c.tell("again")
	c.says("served " + strconv.Itoa(n))
}

// A stream that waits for its next request costs about as much as a connection of TCP.
func TestManyIdleStreamsAreHeldAndServed(t *testing.T) { // not parallel: it weighs the process
	n := 4000
	if raceDetector || testing.Short() {
		n = 500
	}
	ca := newCA(t, "example.org")
	inSocket, _ := workloadAPI(t, ca, payments)
	outSocket, _ := workloadAPI(t, ca, checkout)
	s := side{
		forward: serveApp(t, hello), policies: allowMesh,
		spec: identityFrom(inSocket) + fmt.Sprintf("  limits: {connections: %d, idleTimeout: 1h}\n  accessLog: {output: \"off\"}\n  quic: {listen: \"127.0.0.1:0\"}\n", n+10),
	}.start(t)
	before, goroutines := weigh(t), runtime.NumGoroutine()
	c := startCrowd(t, crowdJob{Address: s.Address(t, "in"), QUIC: s.QUICAddress(), Socket: "unix://" + outSocket, Connections: n})
	c.says("open " + strconv.Itoa(n))
	if active := metric(t, s, "outrider_connections_active"); active != float64(n) {
		t.Errorf("%v streams are open, want %d", active, n)
	}
	after := weigh(t)
	heap, rss := after.heap-before.heap, after.rss-before.rss
	t.Logf("%d idle streams of QUIC: %.1f KiB of live heap and stacks, %.1f KiB of resident memory and %.2f goroutines each",
		n, float64(heap)/float64(n)/1024, float64(rss)/float64(n)/1024, float64(runtime.NumGoroutine()-goroutines)/float64(n))
	const generous = 5 * 20 << 10 // bytes, as above
	if !raceDetector && heap/int64(n) > generous {
		t.Errorf("%d bytes for a stream that is idle", heap/int64(n))
	}
	c.tell("again")
	c.says("served " + strconv.Itoa(n))
}

// fileDescriptors is how many this process may have.
func fileDescriptors(t *testing.T) int {
	t.Helper()
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	return int(min(r.Cur, 1<<30))
}

type weight struct{ heap, rss int64 } // bytes

func weigh(t *testing.T) weight {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w := weight{heap: int64(m.HeapAlloc + m.StackInuse)}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Logf("no resident memory to be had: %v", err)
		return w
	}
	if f := strings.Fields(string(statm)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		w.rss = pages * int64(os.Getpagesize())
	}
	return w
}

// A crowdProcess is driven by lines.
type crowdProcess struct {
	t   *testing.T
	in  io.Writer
	out io.Reader
	r   *bufio.Reader
}

func startCrowd(t *testing.T, job crowdJob) *crowdProcess {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0]) // ended below
	cmd.Env = append(os.Environ(), crowdEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if t.Failed() {
			cmd.Process.Kill()
		}
		cmd.Wait() // it reported what it had to
	})
	return &crowdProcess{t: t, in: in, out: out, r: bufio.NewReader(out)}
}

func (c *crowdProcess) tell(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowdProcess) says(want string) {
	c.t.Helper()
	if pipe, ok := c.out.(*os.File); ok { // as os/exec has it
		if err := pipe.SetReadDeadline(time.Now().Add(5 * patience)); err != nil {
			c.t.Fatal(err)
		}
	}
	line, err := c.r.ReadString('\n')
	if strings.TrimSpace(line) != want {
		c.t.Fatalf("the crowd says %q, %v; want %q", line, err, want)
	}
}

// crowd is the other process: it opens connections with a request each, and
// after a line another request on each.
func crowd(stdin io.Reader, stdout io.Writer) int {
	var job crowdJob
	if err := json.Unmarshal([]byte(os.Getenv(crowdEnv)), &job); err != nil {
		fmt.Fprintln(stdout, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	src, err := workload.New(ctx, workload.Options{Socket: job.Socket})
	if err != nil {
		fmt.Fprintln(stdout, err)
		return 1
	}
	defer src.Close()
	for snap := src.Current(); !snap.Ready(); snap = src.Current() {
		<-snap.Superseded()
	}
	dial, end := job.dialer(src)
	defer end()
	conns := make([]net.Conn, job.Connections)
	report(stdout, "open", each(conns, func(i int) (err error) {
		if conns[i], err = dial(ctx); err != nil {
			return err
		}
		return ask(conns[i])
	}))
	lines := bufio.NewReader(stdin)
	if _, err := lines.ReadString('\n'); err != nil {
		return 1
	}
	report(stdout, "served", each(conns, func(i int) error { return ask(conns[i]) }))
	lines.ReadString('\n')
	return 0
}

// dialer opens connections, until end.
func (job crowdJob) dialer(src identity.Source) (dial func(context.Context) (net.Conn, error), end func()) {
	if job.QUIC == "" {
		cfg := mtls.ClientConfig(src, mtls.ClientOptions{NextProtos: []string{h1}})
		cfg.VerifyConnection = nil
		return func(context.Context) (net.Conn, error) {
			c, err := net.Dial("tcp", job.Address)
			if err != nil {
				return nil, err
			}
			return tls.Client(c, cfg), nil
		}, func() {}
	}
	client := quic.NewClient(limits.Default(), slog.New(slog.DiscardHandler))
	expected, err := mtls.NewExpected(spiffeid.RequireFromString(payments))
	if err != nil {
		return func(context.Context) (net.Conn, error) { return nil, err }, func() {}
	}
	peer := client.NewPeer(netip.MustParseAddrPort(job.QUIC), src, expected)
	port := netip.MustParseAddrPort(job.Address).Port()
	return func(ctx context.Context) (net.Conn, error) {
		s, _, err := peer.Open(ctx, flow.HTTP1, port)
		if err != nil {
			return nil, err
		}
		return s, nil
	}, func() { client.Close() }
}

// A result is how many connections were served, and the first error.
type result struct {
	good  int
	first error
}

func report(w io.Writer, what string, r result) {
	if r.first != nil {
		fmt.Fprintln(os.Stderr, "crowd:", r.first)
	}
	fmt.Fprintln(w, what, r.good)
}

// each calls f for every connection, some at a time, and counts the successes.
func each(conns []net.Conn, f func(i int) error) (r result) {
	const atATime = 8
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		next int
	)
	for range atATime {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(conns) {
					return
				}
				err := f(i)
				mu.Lock()
				if err == nil {
					r.good++
				} else if r.first == nil {
					r.first = fmt.Errorf("connection %d: %w", i, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return r
}

func ask(c net.Conn) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
		return fmt.Errorf("status %d, %q: %w", res.StatusCode, b, err)
	}
	return nil
}
