package bench

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// A test binary that is told to is the control plane's process.
const planeVariable = "PUSHBENCH_CONTROL_PLANE"

func TestMain(m *testing.M) {
	if os.Getenv(planeVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := Run(context.Background(), []string{planeCommand}, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// A few sidecars see every kind of change, and each as many as it concerns.
func TestAFewSidecars(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), planeVariable+"=1")
	r, err := measure(t.Context(), options{sidecars: []int{5, 20}, rounds: 2}, cmd, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sizes) != 2 || len(r.Sizes[1].Changes) != 5 || r.Sizes[1].State.Sidecars != 20 {
		t.Fatalf("%+v", r)
	}
	for _, m := range r.Sizes[1].Changes {
		for _, a := range m.Rounds {
			if a.ToAll == 0 || int(a.Responses) != m.Affected || m.Affected > 0 && a.Bytes == 0 {
				t.Errorf("%s concerns %d: %+v", m.Change, m.Affected, a)
			}
		}
	}
	if text := r.tables(); strings.Count(text, "\n| ") != 2*5+2+2 {
		t.Errorf("%s", text)
	}
}

func TestTheClusterIsWhatThePageSays(t *testing.T) {
	var ends int
	for i := range services {
		if n := len(members(i)); n != endpoints/services {
			t.Fatalf("service %d has %d endpoints", i, n)
		}
		for _, j := range members(i) {
			if ends++; namespaceOf(j) != namespaceOf(i) {
				t.Fatalf("pod %d of another namespace is an endpoint of service %d", j, i)
			}
		}
	}
	if ends != endpoints {
		t.Errorf("%d endpoints", ends)
	}
	var calls int
	for i := range services {
		calls += callers(i, pods)
	}
	if calls != 10*pods {
		t.Errorf("%d subscriptions", calls)
	}
	all, err := objects()
	if err != nil || len(all) != 20+pods+2*services {
		t.Errorf("%d objects, %v", len(all), err)
	}
}
