package docs

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

const (
	loadPage   = "docs/load-testing.md"
	reportPage = "docs/load-report.md"
	loadBudget = "examples/load-budget/budget.yaml"
)

// Lengths of a run that only has to work. What it shows is of no interest here, so
// two rounds will do.
const (
	shortFlags  = " --rounds 2 --block 50ms --warmup 10ms"
	shortFields = "rounds: 2\n    block: 50ms\n    warmup: 10ms\n"
)

// bench is a directory in which the commands of the pages can be run.
type bench struct {
	dir     string
	replace *strings.Replacer
}

// newBench builds the tool, starts what the pages call a service, with and without a
// mesh, and writes the files that they speak of.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(b.dir, "bin", "outrider-load"), "./cmd/outrider-load")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "charged") }))
	t.Cleanup(service.Close)
	b.replace = strings.NewReplacer(
		"http://127.0.0.1:8080", service.URL, "http://127.0.0.1:9080", service.URL, "pid:4711", fmt.Sprintf("pid:%d", os.Getpid()))
	text, err := os.ReadFile(filepath.Join(root, loadBudget))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.dir, loadBudget)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, shortened(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old.json", "new.json"} { // runs of other days
		b.run(t, "bin/outrider-load run http://127.0.0.1:8080 --json "+name+shortFlags)
	}
	return b
}

// shortened gives every scenario of a budget file short rounds.
func shortened(text []byte) []byte {
	return regexp.MustCompile(`(?m)^( +)- name: .*\n`).ReplaceAll(text, []byte("$0    "+shortFields))
}

// run runs a command line of a page, with the addresses of this test.
func (b *bench) run(t *testing.T, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", b.replace.Replace(script))
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+b.short(t))
	out, err := cmd.CombinedOutput()
	// Whether budgets hold is not what is tested: 0, 1 and 2 say that it was judged.
	if status := cmd.ProcessState.ExitCode(); status < 0 || status > 2 {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
	if !regexp.MustCompile(`(?m)^(verdict: |outcome: |sidecar: \d+ scenarios$)`).Match(out) {
		t.Errorf("%s: it judges nothing:\n%s", script, out)
	}
}

// short is a directory whose path is short enough for sockets in it.
func (b *bench) short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docs") //nolint:usetesting // a test's own is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Every command of both pages is run, in the order in which it stands there.
func TestCommandsOfTheLoadPagesRun(t *testing.T) {
	b := newBench(t)
	ran := 0
	for _, page := range []string{loadPage, reportPage} {
		for _, block := range append(fences(t, page, "sh"), fences(t, page, "bash")...) {
			if strings.Contains(block, "\n") && !strings.HasPrefix(block, "docker ") {
				ran++
				b.run(t, block)
				continue
			}
			for line := range strings.Lines(block) {
				ran++
				b.command(t, strings.TrimSpace(line))
			}
		}
	}
	if ran < 10 {
		t.Errorf("%d commands found, want at least 10", ran)
	}
}

// command runs one line, as short as can be. What no test can do here is looked at.
func (b *bench) command(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	switch words[0] + " " + words[1] {
	case "make loadtest":
		runCommand(t, "", words)
	case "docker build":
		dockerTarget(t, words)
	case "kubectl apply":
		if _, err := os.Stat(filepath.Join(root, words[len(words)-1])); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	case "bin/outrider-load compare", "bin/outrider-load run", "bin/outrider-load self":
		b.run(t, line+shortFlags)
	case "bin/outrider-load gate", "bin/outrider-load diff":
		b.run(t, line)
	default:
		t.Errorf("%q: no test knows how to run that", line)
	}
}

// dockerTarget looks for what --target names.
func dockerTarget(t *testing.T, words []string) {
	t.Helper()
	_, after, found := strings.Cut(strings.Join(words, " "), "--target ")
	name, _, _ := strings.Cut(after, " ")
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if !found || !bytes.Contains(dockerfile, []byte(" AS "+name+"\n")) {
		t.Errorf("%s: the Dockerfile has no target %q", strings.Join(words, " "), name)
	}
}

func TestTheBudgetFilesOfTheLoadPageAreAccepted(t *testing.T) {
	blocks := fences(t, loadPage, "yaml")
	for i, block := range blocks {
		if _, err := budget.ParseFile(fmt.Sprintf("%s, block %d", loadPage, i+1), []byte(block+"\n")); err != nil {
			t.Error(err)
		}
	}
	if len(blocks) == 0 {
		t.Error("the page has no budget file")
	}
	if _, err := budget.Load(filepath.Join(root, loadBudget)); err != nil {
		t.Error(err)
	}
}

// Every flag of the commands that send load, and every field of a budget file, is on
// the page. What is not there does not exist for a reader.
func TestTheLoadPageIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, loadPage))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, of := range []reflect.Type{reflect.TypeFor[budget.Scenario](), reflect.TypeFor[budget.TargetSpec]()} {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			wanted[name] = true
		}
	}
	fields := len(wanted)
	for _, command := range []string{"compare", "run"} {
		for _, name := range flagsOf(t, command) {
			wanted["--"+name] = true
		}
	}
	if flags := len(wanted) - fields; fields < 19 || flags < 25 {
		t.Errorf("found only %d fields and %d flags", fields, flags)
	}
	for name := range wanted {
		if !regexp.MustCompile("`"+regexp.QuoteMeta(name)+"[ `]").Match(page) && name != "--base" && name != "--test" {
			t.Errorf("%s does not say what `%s` is", loadPage, name)
		}
	}
}

// flagsOf are the flags that a command of the tool explains.
func flagsOf(t *testing.T, command string) []string {
	t.Helper()
	help := exec.CommandContext(t.Context(), "go", "run", "./cmd/outrider-load", command, "--help")
	help.Dir = root
	out, err := help.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllSubmatch(out, -1) {
		names = append(names, string(found[1]))
	}
	return names
}
