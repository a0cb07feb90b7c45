package http2

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// BenchmarkUnary measures what a unary gRPC call of 1 KiB costs two proxies, one
// behind the other, in CPU time: client, proxy, proxy, server. The proxies are a
// process of their own, on one processor as in production, and only it is measured.
// "reverseproxy" is the same with httputil.ReverseProxy on x/net's HTTP/2, as it is
// in net/http. With "tls" the connection between the two proxies is TLS 1.3.
func BenchmarkUnary(b *testing.B) {
	for _, hop := range []string{"plain", "tls"} {
		for _, streams := range []int{1, 32} {
			for _, engine := range []string{"outrider", "reverseproxy"} {
				b.Run(fmt.Sprintf("%s/%d/%s", hop, streams, engine), func(b *testing.B) {
					benchmarkUnary(b, engine, hop, streams)
				})
			}
		}
	}
}

func benchmarkUnary(b *testing.B, engine, hop string, streams int) {
	app := startGRPC(b, echoService{})
	child := startChild(b, engine, hop, app)
	conn, err := grpc.NewClient(child.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	client := testpb.NewTestServiceClient(conn)
	request := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 1024)}}
	call := func(n int64) {
		var left atomic.Int64
		left.Store(n)
		var wg sync.WaitGroup
		for range streams {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := client.UnaryCall(b.Context(), request); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	call(int64(10 * streams)) // connections are made, pools are filled
	before := child.usage(b)
	b.ResetTimer()
	call(int64(b.N))
	b.StopTimer()
	b.ReportMetric(float64(child.usage(b)-before)/float64(b.N)/1000, "cpu-µs/op")
}

// echoService answers each call with its payload.
type echoService struct {
	testpb.UnimplementedTestServiceServer
}

func (echoService) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: r.Payload}, nil
}

// startGRPC starts a server of grpc-go.
func startGRPC(t testing.TB, service testpb.TestServiceServer) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, service)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return ln.Addr().String()
}

// child is the process of the two proxies.
type child struct {
	addr  string // of the first one
	stdin io.Writer
	out   *bufio.Reader
}

const childEnv = "OUTRIDER_HTTP2_BENCHMARK"

func startChild(t testing.TB, engine, hop, app string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe) // it ends in the cleanup
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{engine, hop, app}, " "), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends then
		_ = cmd.Wait()
	})
	c := &child{stdin: stdin, out: bufio.NewReader(stdout)}
	if c.addr, err = c.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.addr = strings.TrimSpace(c.addr)
	return c
}

// usage is the CPU time of the process so far, in nanoseconds.
func (c *child) usage(t testing.TB) (ns int64) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, "usage\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(c.out, &ns); err != nil {
		t.Fatal(err)
	}
	return ns
}
