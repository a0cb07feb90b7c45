package capture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// says is what each command of the page must print, by what it contains; the
// first that fits counts.
var says = []struct{ command, output string }{
	{"--print --exclude", `meta skuid 1001 counter return comment "excluded user"`},
	{"--print", "ip daddr 169.254.169.254 counter return"},
	{"--verify", "inbound IPv6: a connection to "},
	{"--show", `comment "the sidecar's own calls"`},
	{"--no-verify", "the rules are installed: table inet outrider\n"},
	{"--remove", "the rules are removed\n"},
	{"outrider capture", "outbound IPv4: a connection to "},
}

func TestEveryCommandOfThePageRuns(t *testing.T) {
	netns.NeedsProgram(t, "setpriv")
	text, err := os.ReadFile("../../../docs/capture.md")
	if err != nil {
		t.Fatal(err)
	}
	document := fences(string(text), "yaml")[0]
	if _, warnings, err := config.ParseSidecar("docs/capture.md", []byte(document)); err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	w := alone(t)
	identity := regexp.MustCompile(`workloadAPI: \{.*\}`).ReplaceAllString(document, "files: {svid: svid.pem, key: key.pem, bundles: {example.org: roots.pem}}")
	if err := os.WriteFile(filepath.Join(w.dir, "sidecar.yaml"), []byte(identity), 0o444); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range fences(string(text), "sh") {
		for line := range strings.Lines(block) {
			ran++
			w.follow(t, strings.TrimSpace(line))
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands", ran)
	}
	if out, _ := w.capture(t, "--show"); !strings.Contains(out, "there is no table") {
		t.Errorf("at the end of the page: %s", out)
	}
}

// follow runs one line of the page as root in the pod, where the sidecar's file
// is.
func (w *workload) follow(t *testing.T, line string) {
	t.Helper()
	argv := []string{"env", "--chdir=" + w.dir, "PATH=" + filepath.Dir(file(t, "outrider")) + ":" + os.Getenv("PATH")}
	argv = append(argv, strings.Fields(line)...)
	if strings.Contains(line, "outrider run") {
		s := w.start(t, root, nil, argv...)
		testkit.Eventually(t, line, func() bool { return strings.Contains(s.String(), "msg=ready") })
		s.stop(t)
		return
	}
	out := w.must(t, root, argv...)
	for _, s := range says {
		if strings.Contains(line, s.command) {
			if !strings.Contains(out, s.output) {
				t.Errorf("%s prints\n%s\nwant %q in it", line, out, s.output)
			}
			return
		}
	}
	t.Errorf("%s: no test knows what that prints", line)
}

// fences returns the fenced blocks in one language.
func fences(text, language string) []string {
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, found[1])
	}
	return blocks
}
