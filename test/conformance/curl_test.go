package conformance_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A curlRun is what came of one call of curl.
type curlRun struct {
	Exit      int
	Out       []byte // stdout
	Said      string // what curl complained about
	Transfers []transfer
}

// transfer is what curl writes about one URL.
type transfer struct {
	Status   int    `json:"http_code"`
	Version  string `json:"http_version"`
	Connects int    `json:"num_connects"`
	Uploaded int64  `json:"size_upload"`
}

// patience ends a program that hangs. It decides only how late a failure is
// noticed.
const patience = 30 * time.Second

// curl runs the program with a fixed frame of arguments; input is its stdin.
func curl(t *testing.T, input []byte, args ...string) curlRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "curl"), append([]string{
		"--disable", "--silent", "--show-error", "--write-out", "%{stderr}%{json}\n",
	}, args...)...)
	var out, err bytes.Buffer
	cmd.Env = []string{"LC_ALL=C"} // no proxy of whoever runs the test
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &err
	_ = cmd.Run() // its exit code is looked at by the case
	if ctx.Err() != nil {
		t.Fatalf("curl %q did not come to an end; it said %q", args, err.String())
	}
	r := curlRun{Exit: cmd.ProcessState.ExitCode(), Out: out.Bytes()}
	for line := range strings.Lines(err.String()) {
		said, report, _ := strings.Cut(line, "{") // a progress meter ends without a line of its own
		var one transfer
		if json.Unmarshal([]byte("{"+report), &one) == nil {
			r.Transfers = append(r.Transfers, one)
			line = said
		}
		r.Said += line
	}
	return r
}

// answered fails unless each transfer ended with that status.
func (r curlRun) answered(t *testing.T, status int) {
	t.Helper()
	if r.Exit != 0 || len(r.Transfers) == 0 {
		t.Fatalf("curl ended with %d after %d transfers: %s", r.Exit, len(r.Transfers), r.Said)
	}
	for i, one := range r.Transfers {
		if one.Status != status {
			t.Errorf("transfer %d: status %d, want %d; body %.200q", i, one.Status, status, r.Out)
		}
	}
}

// arrived fails unless the application saw that body with that method.
func (r curlRun) arrived(t *testing.T, method string, body []byte) facts {
	t.Helper()
	r.answered(t, 200)
	f := parseFacts(t, r.Out)
	if f.Method != method || f.Size != int64(len(body)) || f.SHA256 != digest(body) {
		t.Errorf("the application saw %s with %d bytes, want %s with the %d sent", f.Method, f.Size, method, len(body))
	}
	return f
}

// A curlCase is one call; {front} in its arguments is the outbound sidecar,
// {big} a file of 10 MB and {small} one of a few bytes.
type curlCase struct {
	name  string
	args  string // separated by single spaces
	stdin []byte
	check func(t *testing.T, r curlRun)
}

const (
	bigSize   = 10 << 20
	smallBody = `{"amount": 1250}`
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see its documentation
	return b
}

func TestCurlThroughTwoSidecars(t *testing.T) {
	program(t, "curl")
	big := random(bigSize)
	for _, mode := range []struct{ name, policies, protocol string }{
		{"forwarded as it comes", "", "HTTP"},
		{"inspected", inspecting, ""},
	} {
		t.Run(mode.name, func(t *testing.T) {
			m := startMesh(t, meshOptions{App: serve(t, app()), Policies: mode.policies, Protocol: mode.protocol})
			dir := t.TempDir()
			names := strings.NewReplacer("{front}", "http://"+m.Front,
				"{big}", writeFile(t, filepath.Join(dir, "big"), big),
				"{small}", writeFile(t, filepath.Join(dir, "small"), []byte(smallBody)))
			ran := 0
			for _, c := range curlCases(big, mode.policies != "") {
				ran++
				t.Run(c.name, func(t *testing.T) {
					c.check(t, curl(t, c.stdin, strings.Split(names.Replace(c.args), " ")...))
				})
			}
			atLeast(t, "calls of curl", ran, 40)
		})
	}
}

// status returns a check that every transfer ends with that status.
func status(want int) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		r.answered(t, want)
	}
}

// says returns a check for the status and the whole body.
func says(want int, body string) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		r.answered(t, want)
		if string(r.Out) != body {
			t.Errorf("body %q, want %q", r.Out, body)
		}
	}
}

// body returns a check that the application got that request body.
func body(method string, want []byte) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		r.arrived(t, method, want)
	}
}

// saw returns a check of what the application saw.
func saw(check func(*testing.T, facts)) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		r.answered(t, 200)
		check(t, parseFacts(t, r.Out))
	}
}

// contains returns a check that the output, heads included where -i asks for
// them, has all of these and that curl was answered with status.
func contains(status int, want ...string) func(*testing.T, curlRun) {
	return func(t *testing.T, r curlRun) {
		t.Helper()
		r.answered(t, status)
		for _, s := range want {
			if !bytes.Contains(bytes.ToLower(r.Out), []byte(strings.ToLower(s))) {
				t.Errorf("the answer lacks %q: %.600q", s, r.Out)
			}
		}
	}
}
