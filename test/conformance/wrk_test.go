package conformance_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// load runs wrk for a moment and returns how many requests were answered. It
// fails on any error of a socket and any status but 2xx and 3xx, which is all
// that wrk knows. How fast it was is nobody's business here.
func load(t *testing.T, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, "wrk"), append([]string{"--threads", "1", "--timeout", "20s"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("wrk: %v: %s", err, out)
	}
	for _, complaint := range []string{"Socket errors", "Non-2xx", "unable to"} {
		if strings.Contains(string(out), complaint) {
			t.Errorf("wrk was not content: %s", out)
			break
		}
	}
	found := regexp.MustCompile(`(?m)^\s*(\d+) requests in `).FindSubmatch(out)
	if found == nil {
		t.Fatalf("wrk does not say how many requests it made: %s", out)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pipelined has wrk send four requests in a row on each connection, without
// waiting for an answer in between.
const pipelined = `
init = function(args)
  local r = {}
  r[1] = wrk.format("GET", "/greeting")
  r[2] = wrk.format("POST", "/echo", {["Content-Type"] = "text/plain"}, "a=1")
  r[3] = wrk.format("GET", "/stream")
  r[4] = wrk.format("PUT", "/echo/x", nil, string.rep("x", 3000))
  batch = table.concat(r)
end
request = function() return batch end
`

func TestWrk(t *testing.T) {
	program(t, "wrk")
	m := startMesh(t, meshOptions{App: serve(t, app()), Protocol: "HTTP"})
	script := writeFile(t, filepath.Join(t.TempDir(), "pipelined.lua"), []byte(pipelined))
	runs := []struct {
		name string
		args []string
	}{
		{"32 connections", []string{"--connections", "32", "--duration", "2s", "http://" + m.Front + "/greeting"}},
		{"a connection for each request", []string{"--connections", "8", "--duration", "1s", "-H", "Connection: close", "http://" + m.Front + "/greeting"}},
		{"pipelined", []string{"--connections", "8", "--duration", "1s", "--script", script, "http://" + m.Front + "/"}},
	}
	for _, run := range runs {
		t.Run(run.name, func(t *testing.T) {
			atLeast(t, "requests of wrk", load(t, run.args...), 20)
		})
	}
}
