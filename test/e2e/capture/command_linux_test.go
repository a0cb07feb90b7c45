package capture

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// alone is a pod with the files of a sidecar, and nothing done about them.
func alone(t *testing.T) *workload {
	t.Helper()
	m := &mesh{network: newNetwork(t), ca: newCA(t)}
	return m.configure(t, m.add(t, "checkout"), checkout, "  inbound: [{name: in, capture: true}]\n  outbound: [{name: out, capture: true}]\n", usualPolicies)
}

// ruleset is what the kernel has, without counts.
func (p *pod) ruleset(t *testing.T) string {
	t.Helper()
	netns.NeedsProgram(t, "nft")
	return p.must(t, root, "nft", "--stateless", "list", "ruleset")
}

const theirs = "table inet theirs {\n\tchain output {\n\t\ttype filter hook output priority filter; policy accept;\n\t\tcounter\n\t}\n}\n"

func TestCaptureIsInstalledOnceAndRemovedWithoutATrace(t *testing.T) {
	w := alone(t)
	netns.NeedsProgram(t, "nft")
	w.must(t, root, "sh", "-c", "printf '"+theirs+"' | nft -f -")
	before := w.ruleset(t)
	var installed string
	for i := range 2 {
		out, status := w.capture(t)
		if status != 0 || strings.Count(out, " arrived at port ") != 4 {
			t.Fatalf("status %d\n%s", status, out)
		}
		if now := w.ruleset(t); i == 0 {
			installed = now
		} else if diff := cmp.Diff(installed, now); diff != "" {
			t.Errorf("installed again, it differs: %s", diff)
		}
	}
	if !strings.Contains(installed, "table inet outrider") || !strings.Contains(installed, before) {
		t.Errorf("installed:\n%s", installed)
	}
	for _, want := range []string{"the rules are removed\n", "there were no rules\n"} {
		if out, status := w.capture(t, "--remove"); status != 0 || out != want {
			t.Errorf("status %d, %q, want %q", status, out, want)
		}
		if diff := cmp.Diff(before, w.ruleset(t)); diff != "" {
			t.Errorf("(-before +after) %s", diff)
		}
	}
}

func TestCaptureSaysWhatIsWrong(t *testing.T) {
	cases := []struct {
		name    string
		prepare func(t *testing.T, w *workload)
		user    int
		flags   []string
		status  int
		want    string
	}{
		{"the rules are missing", nil, root, []string{"--verify"}, 3, "traffic does not pass the sidecar: there is no table inet outrider; install it with outrider capture"},
		{"nothing to show", nil, root, []string{"--show"}, 3, "there is no table inet outrider"},
		{"other rules are in force", func(t *testing.T, w *workload) {
			w.must(t, root, file(t, "outrider"), "capture", "--no-verify", "--exclude-uids", "0")
		}, root, []string{"--verify"}, 3, "install this plan again"},
		{"no privilege to install", nil, application, nil, 4, "run it with the capability NET_ADMIN"},
		{"no privilege to remove", nil, application, []string{"--remove"}, 4, "run it with the capability NET_ADMIN"},
		{"no privilege to look", nil, application, []string{"--verify"}, 4, "run it with the capability NET_ADMIN"},
		{"the sidecar runs", func(t *testing.T, w *workload) {
			if out, status := w.capture(t); status != 0 {
				t.Fatal(out)
			}
			w.run(t)
		}, root, []string{"--verify"}, 1, "is the sidecar running? Verification comes before it"},
	}
	if len(cases) < 7 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := alone(t)
			if c.prepare != nil {
				c.prepare(t, w)
			}
			argv := append([]string{file(t, "outrider"), "capture", "--config", filepath.Join(w.dir, "sidecar.yaml")}, c.flags...)
			if out, status := w.pod.run(t, c.user, argv...); status != c.status || !strings.Contains(out, c.want) {
				t.Errorf("status %d, want %d\n%s\nwant %q in it", status, c.status, out, c.want)
			}
		})
	}
}

// Without its rules a sidecar that captures gets no traffic, and a packet more is
// not lost when they are there again.
func TestRulesCanBeInstalledUnderARunningSidecar(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", ":8080")
	if out, status := m.payments.capture(t, "--remove"); status != 0 {
		t.Fatal(out)
	}
	if out, _ := curl(t, m.outsider, application, m.payments.at(8080)); out != direct(outsiderIP) {
		t.Errorf("without rules: %q", out)
	}
	if out, status := m.payments.capture(t, "--no-verify"); status != 0 {
		t.Fatal(out)
	}
	if out, _ := curl(t, m.outsider, application, m.payments.at(8080)); !strings.Contains(out, "plaintext_refused") {
		t.Errorf("with rules: %q", out)
	}
	if out, status := m.checkout.curl(t, m.payments.at(8080)); status != 0 || !strings.Contains(out, checkout) {
		t.Errorf("status %d, %q", status, out)
	}
}

// A sidecar whose traffic passes it by does not look healthy, whenever that
// begins and ends.
func TestReadinessTellsWhetherTrafficPasses(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	w := alone(t)
	w.run(t)
	ready := func(want string) {
		t.Helper()
		testkit.Eventually(t, want, func() bool {
			out, _ := curl(t, w.pod, application, "--write-out", "%{http_code}", "http://127.0.0.1:15021/healthz/ready")
			return strings.Contains(out, want)
		})
	}
	for range 2 {
		ready("capture")
		if out, status := w.capture(t, "--no-verify"); status != 0 {
			t.Fatal(out)
		}
		ready("200")
		if out, status := w.capture(t, "--remove"); status != 0 {
			t.Fatal(out)
		}
	}
	ready("capture")
	w.sidecar.stop(t)
	for _, want := range []string{"traffic does not pass the sidecar: outbound IPv4: a connection to ", "are the rules installed?", "captured traffic passes"} {
		if !strings.Contains(w.sidecar.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, w.sidecar)
		}
	}
	if records := w.Records(t); len(records) != 0 {
		t.Errorf("the access log has %v", records)
	}
}
