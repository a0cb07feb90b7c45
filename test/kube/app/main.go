// Command app is the application of the end-to-end tests: an ordinary server over
// HTTP, TCP and gRPC, and an ordinary client. It knows nothing of a mesh.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 1 && args[0] == "check": // for probes that run a command
		return nil
	case len(args) == 1 && args[0] == "wait": // until it is asked to end
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		<-ctx.Done()
		return nil
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) == 3 && args[0] == "load":
		return load(args[1], args[2])
	}
	return fmt.Errorf("want serve, check, get URL or load URL DURATION: %q", args)
}

// serve answers until it is asked to end, and then lets what it works on end.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	opaque, err := net.Listen("tcp", ":9000")
	if err != nil {
		return err
	}
	go greet(opaque)
	rpc, err := net.Listen("tcp", ":9090")
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer()
	healthv1.RegisterHealthServer(grpcServer, health.NewServer())
	go func() { _ = grpcServer.Serve(rpc) }()
	server := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
		grpcServer.Stop()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// greet is an application whose clients wait for its first words.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, "hello")
		c.Close()
	}
}

// answer tells the caller how its request has arrived.
func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	host, _ := os.Hostname()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"pod": host, "version": os.Getenv("VERSION"), "method": r.Method, "path": r.URL.String(), "headers": r.Header, "body": string(body),
	})
}

// client makes calls as they are commonly made: connections are kept.
func client() *http.Client { return &http.Client{Timeout: 10 * time.Second} }

// get prints the answer: the status, the header, the body.
func get(url string) error {
	method, body := http.MethodGet, ""
	if m, rest, ok := strings.Cut(url, " "); ok {
		method, url = m, rest
	}
	if u, b, ok := strings.Cut(url, " "); ok {
		url, body = u, b
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Marker", os.Getenv("MARKER"))
	res, err := client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	if err := res.Header.Write(os.Stdout); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

// load calls a hundred times a second, from eight connections, and counts.
func load(url, duration string) error {
	lasting, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	var sent, failed atomic.Int64
	var first atomic.Pointer[string]
	deadline := time.Now().Add(lasting)
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for time.Now().Before(deadline) {
				sent.Add(1)
				if err := call(c, url); err != nil {
					failed.Add(1)
					text := time.Now().Format("15:04:05.000 ") + err.Error()
					first.CompareAndSwap(nil, &text)
				}
				time.Sleep(80 * time.Millisecond)
			}
		})
	}
	working.Wait()
	why := ""
	if p := first.Load(); p != nil {
		why = *p
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"sent": sent.Load(), "failed": failed.Load(), "first": why})
}

func call(c *http.Client, url string) error {
	res, err := c.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", strconv.Itoa(res.StatusCode), text[:min(len(text), 200)])
	}
	return err
}
