package conformance_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A server of net/http takes WebSocket over HTTP/2 (RFC 8441) only in a process that
	// was started so: the variable is read before main.
	if debug := os.Getenv("GODEBUG"); !strings.Contains(debug, takesConnect) {
		env := append(os.Environ(), "GODEBUG="+strings.TrimPrefix(debug+","+takesConnect, ","))
		_ = syscall.Exec(os.Args[0], os.Args, env) // where it can't, the tests of that fail and say so
	}
	goleak.VerifyTestMain(m)
}

const takesConnect = "http2xconnect=1"

// program finds a program that a test talks to. Where continuous integration
// runs, its absence is a failure: what is skipped there is never run.
func program(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI=true: nothing would be tested", name)
	}
	return programIfPresent(t, name)
}

// programIfPresent is for a program that continuous integration does not
// install.
func programIfPresent(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %s is not installed (apt-get install %s)", name, name)
	}
	return path
}

// atLeast fails a test that ran fewer cases than it is meant to: a table that is
// empty, or a loop that never ran, passes everything. The summary of all tests has the
// number.
func atLeast(t *testing.T, what string, ran, minimum int) {
	t.Helper()
	t.Attr("cases", fmt.Sprintf("%d %s", ran, what))
	if ran < minimum {
		t.Errorf("%d %s were tested, want at least %d", ran, what, minimum)
	}
}

// A counter counts cases that run at the same time.
type counter struct{ atomic.Int64 }

func (c *counter) atLeast(t *testing.T, what string, minimum int) {
	t.Helper()
	atLeast(t, what, int(c.Load()), minimum)
}
