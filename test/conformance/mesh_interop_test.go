package conformance_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// interopCases are the cases of gRPC's own interop client that need no credentials of
// a cloud (github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md).
func interopCases() []string {
	return []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
		"status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service", "orca_per_rpc", "orca_oob",
		"rpc_soak", "channel_soak",
	}
}

// otherCases need credentials of a cloud or, the first, a server that tells its name,
// which the one of grpc-go does not.
func otherCases() []string {
	return []string{
		"pick_first_unary",
		"compute_engine_creds", "service_account_creds", "jwt_token_creds", "per_rpc_creds", "oauth2_auth_token",
		"google_default_credentials", "compute_engine_channel_credentials",
	}
}

// TestGRPCInterop runs gRPC's own interop client and server, unmodified, at the two
// ends of a mesh.
func TestGRPCInterop(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the interop programs; left out with -short")
	}
	client, app := pinnedTool(t, "google.golang.org/grpc/interop/client"), startInteropServer(t)
	everyInteropCase(t, client)
	for _, over := range carriers() {
		for _, mode := range []struct {
			name string
			mesh meshOptions
		}{
			{"forwarded", meshOptions{Protocol: "HTTP"}},
			{"detected", meshOptions{}},
			{"inspected", meshOptions{Policies: inspecting}},
		} {
			t.Run(over.name+", "+mode.name, func(t *testing.T) {
				mode.mesh.App, mode.mesh.Carrier = app, over
				m := startMesh(t, mode.mesh)
				ran := 0
				for _, name := range interopCases() {
					ran++
					t.Run(name, func(t *testing.T) { interop(t, client, m.Front, name) })
				}
				atLeast(t, "cases of gRPC interop", ran, 18)
				served := 0
				for _, r := range m.In.Log.Records(t) {
					if r["protocol"] == "http2" {
						served++
					}
				}
				atLeast(t, "calls that the inbound sidecar has seen", served, 30)
			})
		}
	}
}

// interop runs one case. The client ends with an error unless all of it holds.
func interop(t *testing.T, client, front, name string) {
	t.Helper()
	host, port, err := net.SplitHostPort(front)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--server_host=" + host, "--server_port=" + port, "--test_case=" + name}
	switch {
	case strings.HasPrefix(name, "orca"):
		args = append(args, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
	case strings.HasSuffix(name, "soak"): // the default asks for a latency
		args = append(args, "--soak_per_iteration_max_acceptable_latency_ms=30000", "--soak_overall_timeout_seconds=30")
	}
	tries := 1
	if name == "cancel_after_begin" {
		// The client still ends its stream after it has called the call off; where
		// it is kept waiting between the two, the server's answer comes first and
		// counts, with nobody in between as well.
		tries = 5
	}
	for range tries {
		if err = interopOnce(t, client, args); err == nil {
			return
		}
	}
	t.Error(err)
}

func interopOnce(t *testing.T, client string, args []string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, client, args...)
	cmd.Env = []string{"GRPC_GO_LOG_SEVERITY_LEVEL=info"}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", err, lastLines(string(out), 12))
	case !strings.Contains(string(out), " done"):
		return fmt.Errorf("the client does not say that it is done: %s", lastLines(string(out), 12))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// everyInteropCase fails if the client knows a case that we don't.
func everyInteropCase(t *testing.T, client string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), client, "-help")
	usage, _ := cmd.CombinedOutput() // it ends with an error, having explained itself
	known := 0
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z0-9_]+) ?: `).FindAllStringSubmatch(string(usage), -1) {
		if slices.Contains(interopCases(), m[1]) || slices.Contains(otherCases(), m[1]) {
			known++
			continue
		}
		t.Errorf("the client has a case %q, which is not run", m[1])
	}
	atLeast(t, "cases in the client's usage", known, 20)
}

// pinnedTool is the path of a program that tools/go.mod pins; it is built on first
// use.
func pinnedTool(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/go.mod", "-n", name)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// startInteropServer starts gRPC's interop server and learns its port from its log.
func startInteropServer(t *testing.T) (addr string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), pinnedTool(t, "google.golang.org/grpc/interop/server"), "--port=0")
	cmd.Env = []string{"GRPC_GO_LOG_SEVERITY_LEVEL=info"}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() { // until the server ends: a full pipe would hold it up
		defer close(ended)
		listening := regexp.MustCompile(`interop server listening on \[::\]:(\d+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait() // it was killed
	})
	select {
	case port := <-found:
		return net.JoinHostPort("127.0.0.1", port)
	case <-ended:
		t.Fatal("the interop server ended before it listened")
	}
	return ""
}
