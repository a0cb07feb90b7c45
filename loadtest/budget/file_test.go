package budget

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const head = "apiVersion: outrider.dev/v1alpha1\nkind: LoadBudget\nmetadata: {name: payments}\nspec:\n"

func TestASmallFileGetsItsDefaults(t *testing.T) {
	f, err := ParseFile("budget.yaml", []byte(head+`
  targets: {direct: {url: http://a}, mesh: {url: http://b}, inspected: {url: http://c}}
  scenarios:
  - {name: get, budget: {p99: +500us}}
  - name: charge
    inspection: true
    protocol: http2
    method: PUT
    path: /v1/charges
    headers: {content-type: application/json, host: payments}
    body: '{"amount": 1}'
    status: 201
    rate: 100..200@5s
    arrivals: poisson
    connections: 4
    streams: 8
    rounds: 10
    warmup: 1s
    block: 2s
    budget: {p50: 1ms, errors: 1%}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Scenario{
		{
			Name: "get", Base: Direct, Test: Mesh, Protocol: target.HTTP1, Path: "/", Arrivals: Even,
			Connections: 32, Streams: 1, Rounds: 20, Warmup: 200 * time.Millisecond, Block: time.Second,
			Budget: map[string]string{"p99": "+500us"},
		},
		{
			Name: "charge", Base: Direct, Test: Inspected, Inspection: true, Protocol: target.HTTP2, Method: "PUT", Path: "/v1/charges",
			Headers: map[string]string{"content-type": "application/json", "host": "payments"}, Body: `{"amount": 1}`, Status: 201,
			Rate: "100..200@5s", Arrivals: Poisson, Connections: 4, Streams: 8, Rounds: 10, Warmup: time.Second, Block: 2 * time.Second,
			Budget: map[string]string{"p50": "1ms", "errors": "1%"},
		},
	}
	if diff := cmp.Diff(want, f.Spec.Scenarios); diff != "" {
		t.Error(diff)
	}
	o := f.Spec.Scenarios[1].Options("http://127.0.0.1:80/")
	wanted := target.Options{
		URL: "http://127.0.0.1:80/v1/charges", Protocol: target.HTTP2, Method: "PUT", Host: "payments",
		Header: []target.Field{{Name: "content-type", Value: "application/json"}}, Body: []byte(`{"amount": 1}`), Status: 201, Streams: 8,
	}
	if diff := cmp.Diff(wanted, o); diff != "" {
		t.Error(diff)
	}
	b, err := f.Spec.Scenarios[1].Bounds()
	if err != nil || b.Failures != 0.01 || len(b.Latency) != 1 || b.Latency[0].Most != time.Millisecond {
		t.Errorf("%+v, %v", b, err)
	}
}

// A file in which everything is wrong names everything that is.
func TestEveryMistakeIsNamed(t *testing.T) {
	path := filepath.Join("testdata", "all_wrong.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseFile("all_wrong.yaml", text)
	invalid, ok := errors.AsType[*Invalid](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	const least = 48
	if len(invalid.Problems) < least {
		t.Errorf("%d problems, want %d", len(invalid.Problems), least)
	}
	golden := filepath.Join("testdata", "all_wrong.golden")
	got := invalid.Error() + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it):\n%s", golden, diff)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"nothing":        {"", "0 documents"},
		"two documents":  {head + "  scenarios: []\n---\n" + head, "2 documents"},
		"no YAML":        {"{{{", "budget.yaml:1"},
		"no UTF-8":       {"\xff", "not UTF-8"},
		"no mesh for it": {head + "  scenarios: [{name: a, protocol: tcp, body: x, budget: {p99: 1ms}}]\n", "carries http1, not tcp; name targets"},
		"another kind":   {strings.Replace(head, "LoadBudget", "Sidecar", 1), "write LoadBudget"},
		"another number": {strings.Replace(head, "v1alpha1", "v9", 1), "write outrider.dev/v1alpha1"},
	} {
		if _, err := ParseFile("budget.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", name, err, c.says)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}

// Whatever a file says, it is refused or every scenario of it can be run.
func FuzzParseFile(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "all_wrong.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(head + "  scenarios:\n  - {name: get, budget: {p99: +500us}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseFile("f", []byte(text))
		if err != nil {
			return
		}
		for _, s := range file.Spec.Scenarios {
			if _, err := s.Bounds(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			scheme := map[target.Protocol]string{target.TCP: "tcp", target.HTTP3: "https"}[s.Protocol]
			if scheme == "" {
				scheme = "http"
			}
			if _, err := target.New(s.Options(scheme + "://localhost:80")); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
