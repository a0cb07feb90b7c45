package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const plugin = "./cmd/kubectl-outrider"

// People download the plugin, and start it for each question.
func TestPluginIsSmall(t *testing.T) {
	const mebibyte = 1 << 20
	const most = 20 * mebibyte
	if testing.Short() {
		t.Skip("builds the plugin; left out with -short")
	}
	name := filepath.Join(t.TempDir(), "kubectl-outrider")
	run(t, "go", "build", "-trimpath", "-tags", tags(t), "-ldflags=-s -w", "-o", name, plugin)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the plugin has %.2f MiB, over its budget of %d MiB", float64(info.Size())/mebibyte, most/mebibyte)
	}
	t.Logf("the plugin has %.2f MiB", float64(info.Size())/mebibyte)
}

func TestPluginLinks(t *testing.T) {
	deps := strings.Fields(run(t, "go", "list", "-tags", tags(t), "-deps", plugin))
	if len(deps) < 150 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	for pattern, why := range map[string]string{
		"k8s.io/client-go/kubernetes/...":     "typed clients of all of Kubernetes: more than the rest of the plugin, and answers of any length",
		"k8s.io/client-go/dynamic/...":        "the plugin reads what it knows the form of, up to a bound",
		"github.com/corazawaf/coraza/v3/...":  "the plugin inspects nothing",
		"./injector/webhook/...":              "that is the control plane",
		"./cmd/kubectl-outrider/kubetest/...": "it is for tests",
		"testing":                             "it registers flags",
	} {
		for _, dep := range deps {
			if matches(pattern, shorten(dep)) {
				t.Errorf("the plugin links %s: %s", dep, why)
			}
		}
	}
}
