package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

// temporary makes the directory that a demo must leave empty.
func temporary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") //nolint:usetesting // t.TempDir's path holds the test's name, and a socket's has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("the demo left %v behind (%v)", left, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", dir)
	return dir
}

// What differs from one demo to the next.
var volatile = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`\b[0-9a-f]{12}…`), "SERIAL"},
	{regexp.MustCompile(`\b[0-9a-z]{10}000000[0-9a-z]{4}\b`), "DECISION"},
	{regexp.MustCompile(`generation [0-9a-f]{16}`), "generation HASH"},
	{regexp.MustCompile(`(SERIAL) +\d+`), "$1 CALLS"},
	{regexp.MustCompile(`\d+ calls`), "N calls"},
	{regexp.MustCompile(`has shown checkout \d+ of them, checkout \d+ to`), "has shown checkout N of them, checkout N to"},
	{regexp.MustCompile(`after \d+ ms`), "after N ms"},
	{regexp.MustCompile(`connection \d+ at first, \d+ at last`), "connection N at first, N at last"},
	{regexp.MustCompile(`in \d+\.\d s`), "in N s"},
}

// TestDemo is the end-to-end test of the sidecar: three of them and an intruder,
// started as in production, and every step judged.
func TestDemo(t *testing.T) {
	temporary(t)
	var out, warnings bytes.Buffer
	if err := Run(t.Context(), Options{Stdout: &out, Stderr: &warnings}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(warnings.String(), "NOT FOR PRODUCTION"); n != 1 {
		t.Errorf("the CA's warning was printed %d times:\n%s", n, warnings.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	if got := strings.Count(out.String(), yes); got < 40 {
		t.Errorf("only %d claims were checked", got)
	}
	text := out.String()
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	golden(t, "demo.golden", text)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), refresh with -update and review:\n%s", path, diff)
	}
}

// with is a plan spoilt in one way, reduced to the steps that are concerned.
func with(spoil func(*plan), steps ...step) plan {
	p := asShipped()
	p.steps = steps
	spoil(&p)
	return p
}

// impatient is for conditions that will never come true.
func impatient(p *plan) { p.patience = time.Second }

func TestEveryStepNoticesWhatDoesNotHold(t *testing.T) {
	everybody := strings.Replace(paymentsPolicy("GET, POST"), "spiffe://example.org/ns/shop/sa/checkout", "*", 1)
	anonymous := strings.Replace(paymentsPolicy("GET, POST"), `from: [{principals: ["spiffe://example.org/ns/shop/sa/checkout"]}]`+"\n    ", "", 1)
	const permissive = "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {mtls: Permissive}\n"
	cases := []struct {
		name string
		plan plan
		// seen is what the page must say.
		seen string
	}{
		{"nobody is allowed to call", with(func(p *plan) {
			p.policies = map[string]string{}
		}, allowedStep()), "✗ status: 403, and should be 200"},
		{"plaintext is let in", with(func(p *plan) {
			p.policies["mesh.yaml"], p.policies[paymentsFile] = permissive, anonymous
		}, plaintextStep()), "✗ status: 200, and should be 403"},
		{"plaintext is refused for another reason", with(func(p *plan) {
			p.policies["mesh.yaml"] = permissive
		}, plaintextStep()), "✗ reason: access_denied, and should be plaintext_refused"},
		{"every identity is allowed", with(func(p *plan) {
			p.policies[paymentsFile] = everybody
		}, intruderStep()), "✗ status: 200, and should be 403"},
		{"another rule refuses the intruder", with(func(p *plan) {
			p.policies[paymentsFile] = strings.Replace(paymentsPolicy("GET"), "payments-callers", "others", 1)
		}, intruderStep()), "✗ the log names the rule that came nearest"},
		{"nothing is inspected", with(func(p *plan) {
			delete(p.policies, inspectionFile)
		}, injectionStep()), "✗ status: 200, and should be 403"},
		{"attacks are only detected", with(func(p *plan) {
			p.policies[inspectionFile] = strings.Replace(inspectionPolicy, "Block", "Detect", 1)
		}, injectionStep()), "✗ status: 200, and should be 403"},
		{"certificates are not replaced", with(func(p *plan) {
			p.rotate = func(context.Context, *mesh) error { return nil }
			impatient(p)
		}, rotationStep()), "every workload uses its new certificate"},
		{"some calls fail while certificates are replaced", with(func(p *plan) {
			p.rotate = rotateAndRefuse
		}, rotationStep()), "✗ N calls through both hops, N failed"},
		{"an edit changes nothing", with(func(p *plan) {
			p.edited = p.policies[paymentsFile]
			impatient(p)
		}, editStep()), "a DELETE is answered with 200"},
		{"what the edit should allow was allowed before", with(func(p *plan) {
			p.policies[paymentsFile] = p.edited
		}, editStep()), "✗ status: 200, and should be 403"},
		{"the mistake is none", with(func(p *plan) {
			p.mistyped = strings.Replace(p.mistyped, "principle", "principals", 1)
			impatient(p)
		}, mistakeStep()), "payments' sidecar refuses mistyped.yaml"},
		{"the mistake is another one", with(func(p *plan) {
			p.mistyped = strings.Replace(p.mistyped, "action: Allow", "action: Permit", 1)
			p.mistyped = strings.Replace(p.mistyped, "principle", "principals", 1)
		}, mistakeStep()), "✗ the problem names the field"},
	}
	if len(cases) < 13 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			temporary(t)
			var out, warnings bytes.Buffer
			err := show(t.Context(), Options{Stdout: &out, Stderr: &warnings}, c.plan)
			text := regexp.MustCompile(`\d+ (calls|failed)`).ReplaceAllString(out.String(), "N $1")
			text = strings.Join(strings.Fields(text), " ") // however it was wrapped
			if !errors.Is(err, ErrFailed) {
				t.Errorf("the demo ended with %v, want %v", err, ErrFailed)
			}
			if !strings.Contains(text, c.seen) || !strings.Contains(text, "N of N steps did not hold") &&
				!strings.Contains(text, "1 of 1 steps did not hold") {
				t.Errorf("the page does not say %q and that the step did not hold:\n%s", c.seen, out.String())
			}
		})
	}
}

// rotateAndRefuse rotates well, but refuses some calls meanwhile.
func rotateAndRefuse(ctx context.Context, m *mesh) error {
	s := &scene{mesh: m, plan: asShipped()}
	m.ca.Rotate()
	if err := writePolicy(m.policies(), checkoutFile, strings.Replace(checkoutPolicy, "POST", "GET", 1)); err != nil {
		return err
	}
	err := s.await(ctx, "an order is refused", func() (bool, error) {
		got, _, err := s.buy(ctx, "teapot")
		return err == nil && got.status != 200, err
	})
	return errors.Join(err, writePolicy(m.policies(), checkoutFile, checkoutPolicy))
}

func TestAMeshThatCannotStartSaysWhyAndLeavesNothing(t *testing.T) {
	temporary(t)
	p := with(func(p *plan) {
		p.policies[paymentsFile] = mistypedPolicy
		impatient(p)
	}, allowedStep())
	err := show(t.Context(), Options{Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}, p)
	if err == nil || !strings.Contains(err.Error(), "the sidecar of payments: ") {
		t.Errorf("the demo ended with %v, want the sidecar that did not start", err)
	}
}

func TestAnInterruptedDemoCleansUp(t *testing.T) {
	temporary(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	p := asShipped()
	p.steps = []step{{title: "Wait", run: func(ctx context.Context, s *scene) (string, error) {
		interrupt(errors.New("received signal interrupt"))
		return "", s.await(ctx, "the end of time", func() (bool, error) { return false, nil })
	}}}
	var out bytes.Buffer
	err := show(ctx, Options{Stdout: &out, Stderr: new(bytes.Buffer)}, p)
	if err == nil || !strings.Contains(err.Error(), "interrupted in step 1: received signal interrupt") {
		t.Errorf("the demo ended with %v, want the interruption", err)
	}
	if strings.Contains(out.String(), "Summary") {
		t.Error("the summary of an interrupted demo was printed")
	}
}
