package arch

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const sidecar = "./cmd/outrider"

// tags are the build tags of what is shipped, as the Makefile has them.
func tags(t *testing.T) string { return variable(t, "TAGS") }

// sidecarTags are those of the sidecar, which leaves out more.
func sidecarTags(t *testing.T) string {
	t.Helper()
	return strings.Replace(variable(t, "SIDECAR_TAGS"), "$(TAGS)", tags(t), 1)
}

// variable is what the Makefile sets a variable to.
func variable(t *testing.T, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` := (\S+)$`).FindStringSubmatch(read(t, "Makefile"))
	if found == nil {
		t.Fatalf("the Makefile sets no %s", name)
	}
	return found[1]
}

func TestDockerfileBuildsWhatTheMakefileBuilds(t *testing.T) {
	more, ok := strings.CutPrefix(sidecarTags(t), tags(t))
	if !ok {
		t.Fatalf("the sidecar's tags %q do not begin with the others' %q", sidecarTags(t), tags(t))
	}
	for _, want := range []string{"ENV TAGS=" + tags(t) + "\n", "-tags $TAGS" + more + " ", "-tags $TAGS "} {
		if !strings.Contains(read(t, "Dockerfile"), want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
}

// Each language version has its image; an older one could not build the module.
func TestDockerfileUsesTheModulesGo(t *testing.T) {
	found := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if found == nil {
		t.Fatal("go.mod names no version of Go")
	}
	if want := " golang:" + found[1] + "."; !strings.Contains(read(t, "Dockerfile"), want) {
		t.Errorf("the Dockerfile does not build with%s", want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the sidecar links in the end counts, however it got there.
func TestSidecarLinks(t *testing.T) {
	if !load(t).has(sidecar) {
		t.Skip("there is no cmd/outrider yet")
	}
	deps := strings.Fields(run(t, "go", "list", "-tags", sidecarTags(t), "-deps", sidecar))
	if len(deps) < 150 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	forbidden := []struct {
		pattern, why string
		exists       bool // the pattern must match something that is there
	}{
		{"k8s.io/...", "a Kubernetes client more than doubles the binary", false},
		{"sigs.k8s.io/...", "a Kubernetes client more than doubles the binary", false},
		{"./injector/...", "the control plane is another program", false},
		{"github.com/envoyproxy/go-control-plane/...", "its messages take 2.5 MiB of memory; proxy/ads/wire has the few that are needed", false},
		{"testing", "it registers flags and links the profiler's machinery", true},
		{"net/http/httptest", "it is for tests", true},
		{"text/template", "it calls methods by name, so the linker can remove none: 3 MiB", true},
		{"net/http/pprof", "proxy/admin serves profiles in less: 0.2 MiB", true},
		{"github.com/google/go-cmp/...", "it is for tests", false},
		{"./internal/testkit/...", "it is for tests", false},
		{"./identity/identitytest", "it is for tests", false},
		{"./test/...", "it is for tests", false},
	}
	for _, f := range forbidden {
		if f.exists {
			run(t, "go", "list", f.pattern) // fails if there is no such package
		}
		for _, dep := range deps {
			if matches(f.pattern, shorten(dep)) {
				t.Errorf("the sidecar links %s: %s", dep, f.why)
			}
		}
	}
}

// The sidecar is built without net/http's HTTP/2, so whoever asks for that gets an
// error, or HTTP/1.1.
func TestSidecarAsksNetHTTPForNoHTTP2(t *testing.T) {
	asked := regexp.MustCompile(`\b(ForceAttemptHTTP2|SetHTTP2|SetUnencryptedHTTP2|http\.HTTP2Config)\b`)
	deps := strings.Fields(run(t, "go", "list", "-tags", sidecarTags(t), "-deps", sidecar))
	var looked int
	for _, p := range load(t).pkgs {
		if !slices.Contains(deps, modulePath+strings.TrimPrefix(p.path, ".")) {
			continue
		}
		for _, f := range p.production() {
			looked++
			if found := asked.FindString(read(t, f.name)); found != "" {
				t.Errorf("%s has %s, which the sidecar's build tags take away", f.name, found)
			}
		}
	}
	if looked < 300 {
		t.Errorf("looked at only %d files", looked)
	}
}

func TestSidecarIsSmallAndStatic(t *testing.T) {
	const mebibyte = 1 << 20
	const most = 21 * mebibyte
	if testing.Short() {
		t.Skip("builds the sidecar; left out with -short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the sidecar's image is a Linux one")
	}
	if !load(t).has(sidecar) {
		t.Skip("there is no cmd/outrider yet")
	}
	name := filepath.Join(t.TempDir(), "outrider")
	run(t, "go", "build", "-trimpath", "-tags", sidecarTags(t), "-ldflags=-s -w", "-o", name, sidecar)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the sidecar has %.2f MiB, over its budget of %d MiB; go version -m and go tool nm -size tell what grew", float64(info.Size())/mebibyte, most/mebibyte)
	}
	t.Logf("the sidecar has %.2f MiB", float64(info.Size())/mebibyte)
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the sidecar is dynamically linked: it has a %s segment", p.Type)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
