package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
)

const root = "../.."

// fences returns the fenced blocks of a Markdown file in one language.
func fences(t *testing.T, path, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	rest := string(text)
	for {
		_, after, found := strings.Cut(rest, "\n```"+language+"\n")
		if !found {
			return blocks
		}
		block, next, closed := strings.Cut(after, "\n```\n")
		if !closed {
			t.Fatalf("%s: a fence is not closed", path)
		}
		blocks = append(blocks, block)
		rest = next
	}
}

// pages are the documents whose commands are run here.
var pages = [...]string{"README.md", "examples/two-machines/README.md", "examples/policies/README.md"}

func TestEveryCommandOfTheReadmeRuns(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/outrider", "./cmd/kubectl-outrider")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	ran := 0
	printed := map[string]string{}
	for _, page := range pages {
		for _, block := range fences(t, page, "sh") {
			for command := range strings.Lines(block) {
				ran++
				printed[page] += runCommand(t, bin, strings.Fields(command))
			}
		}
	}
	const whole = "examples/policies/README.md" // says all that is printed
	if want := strings.Join(fences(t, whole, "text"), "\n") + "\n"; printed[whole] != want {
		t.Errorf("%s says\n%s\nand it prints\n%s", whole, want, printed[whole])
	}
	if ran < 25 {
		t.Errorf("%d commands found, want at least 25", ran)
	}
}

// runCommand runs one command of a page. A make target is only looked for: these
// tests are part of one of them. So is what needs a cluster, or docker.
func runCommand(t *testing.T, bin string, words []string) (printed string) {
	t.Helper()
	var cmd *exec.Cmd
	switch words[0] {
	case "docker":
		dockerTarget(t, words)
		return ""
	case "kubectl":
		kubectlCommand(t, strings.Join(words, " "))
		return ""
	case "bin/kubectl-outrider":
		pluginCommand(t, filepath.Join(bin, "kubectl-outrider"), words)
		return ""
	case "make":
		cmd = exec.CommandContext(t.Context(), "make", append([]string{"--dry-run"}, words[1:]...)...)
	case "bin/outrider":
		cmd = exec.CommandContext(t.Context(), filepath.Join(bin, "outrider"), words[1:]...)
	default:
		t.Errorf("%q: no test knows how to run that", strings.Join(words, " "))
		return ""
	}
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	want := "0 errors, 0 warnings"
	if words[0] != "make" && words[1] == "capture" {
		want = "redirect to :15006"
	}
	if words[0] != "make" && !strings.Contains(string(out), want) {
		t.Errorf("%s: %s", strings.Join(words, " "), out)
	}
	return string(out)
}

func TestTheDocumentsOfTheReadmeAreThoseOfTheExample(t *testing.T) {
	blocks := fences(t, "README.md", "yaml")
	files := []string{"payments/sidecar.yaml", "payments/policies/callers.yaml"}
	if len(blocks) != len(files) {
		t.Fatalf("%d documents, want %d", len(blocks), len(files))
	}
	for i, name := range files {
		text, err := os.ReadFile(filepath.Join(root, "examples/two-machines", name))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := withoutComments(string(text)), withoutComments(blocks[i]); got != want {
			t.Errorf("%s is\n%s\nthe README says\n%s", name, got, want)
		}
	}
	if _, _, err := config.ParseSidecar("README.md", []byte(blocks[0])); err != nil {
		t.Error(err)
	}
}

func withoutComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "#")
		if code = strings.TrimRight(code, " \n"); code != "" {
			kept = append(kept, code)
		}
	}
	return strings.Join(kept, "\n")
}
