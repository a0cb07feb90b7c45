package attack_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/loadtest/attack"
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
)

const payments = "spiffe://example.org/ns/shop/sa/payments"

// An outrider is a sidecar in front of an application that takes everything.
type outrider struct {
	*testkit.Sidecar
	url string
	ca  *identitytest.CA
}

// start runs one whose inspection policy has this mode, and whose mesh this
// configuration.
func start(t *testing.T, mode, mesh string) *outrider {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	t.Cleanup(app.Close)
	o := &outrider{ca: identitytest.NewCA(t, "example.org")}
	o.Sidecar = testkit.Start(t, testkit.Options{
		YAML: "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app.Listener.Addr().String() + "\"}]\n" +
			// A loaded machine must not turn verdicts into refusals for want of time.
			"  limits: {inspectionWait: 60s, inspectionTimeout: 60s, upstreamResponseTimeout: 60s}\n",
		Name: "payments", Source: o.ca.Source(t, payments),
		Policies: "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: " + mesh + "\n---\n" +
			"apiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: waf, namespace: shop}\n" +
			"spec: {mode: " + mode + ", profile: mesh}\n",
	})
	o.url = o.Address(t, "in")
	return o
}

// follow reads the sidecar's log as it grows.
type follow struct {
	t       *testing.T
	log     *testkit.Log
	seen    int
	pending []byte
}

func (f *follow) Read(p []byte) (int, error) {
	if len(f.pending) == 0 {
		records := f.log.Records(f.t)
		for _, r := range records[f.seen:] {
			line, err := json.Marshal(r)
			if err != nil {
				f.t.Error(err)
			}
			f.pending = append(append(f.pending, line...), '\n')
		}
		f.seen = len(records)
	}
	if len(f.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.pending)
	f.pending = f.pending[n:]
	return n, nil
}

// own reads the corpus of this package.
func own(t *testing.T) *corpus.Corpus {
	t.Helper()
	c, err := corpus.Read(t.Context(), "testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]bool{}
	for _, s := range c.Samples {
		if s.Label == corpus.Attack {
			families[s.Tags[0]] = true
		}
	}
	if a, b := c.Count(corpus.Attack), c.Count(corpus.Benign); a < 40 || b < 60 || len(families) < 8 || len(c.Unreadable) > 0 {
		t.Fatalf("%d attacks of %d families, %d benign requests, unreadable: %v", a, len(families), b, c.Unreadable)
	}
	return c
}

func replay(t *testing.T, opts attack.Options) *attack.Report {
	t.Helper()
	opts.Host = "payments.shop" // CRS scores an address in each request, rule 920350
	opts.LogWait = time.Minute
	opts.Endpoint.Timeout = time.Minute
	r, err := attack.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	r.WriteText(t.Output())
	return r
}

// ids are those of a list, sorted.
func ids(entries []attack.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID)
	}
	slices.Sort(all)
	return all
}

// Both modes run the same engine, so the answers of one and the log of the other
// must come to the same, sample by sample. One is met with an identity over mutual
// TLS, the other in plaintext.
func TestModeDetectShowsWhatModeBlockWouldDo(t *testing.T) {
	c := own(t)
	block := start(t, "Block", "{defaultAccess: AllowAuthenticated}")
	expected, err := mtls.NewExpected(identitytest.ID(t, payments))
	if err != nil {
		t.Fatal(err)
	}
	caller := block.ca.Source(t, "spiffe://example.org/ns/shop/sa/checkout")
	rules := attack.DefaultRules()
	rules.BlockStatus = nil
	blocked := replay(t, attack.Options{
		Corpus: c, Rules: rules, AccessLog: &follow{t: t, log: block.Log},
		Endpoint: wire.Options{URL: "https://" + block.url, TLS: mtls.ClientConfig(caller, mtls.ClientOptions{Expected: expected})},
	})
	detect := start(t, "Detect", "{mtls: Permissive, defaultAccess: AllowAll}")
	rules.FromLog = true
	detected := replay(t, attack.Options{
		Corpus: c, Rules: rules, AccessLog: &follow{t: t, log: detect.Log}, Endpoint: wire.Options{URL: "http://" + detect.url},
	})
	for name, r := range map[string]*attack.Report{"Block": blocked, "Detect": detected} {
		if len(r.Unclear) > 0 || r.Inconclusive != "" || r.Detection.Of != c.Count(corpus.Attack) || r.FalseAlarms.Of != c.Count(corpus.Benign) {
			t.Errorf("%s: not every sample says something: %+v", name, r.Unclear)
		}
		if r.Detection.Rate < 0.7 || r.FalseAlarms.Rate > 0.1 || len(r.Rules) < 20 {
			t.Errorf("%s: detection %+v, false positives %+v, %d rules", name, r.Detection, r.FalseAlarms, len(r.Rules))
		}
	}
	for what, pair := range map[string][2][]attack.Entry{
		"missed": {blocked.Missed, detected.Missed}, "alarms": {blocked.Alarms, detected.Alarms}, "refused": {blocked.Refused, detected.Refused},
	} {
		if d := cmp.Diff(ids(pair[0]), ids(pair[1])); d != "" {
			t.Errorf("%s (-Block +Detect):\n%s", what, d)
		}
	}
	if d := cmp.Diff(blocked.Rules, detected.Rules); d != "" {
		t.Errorf("rules (-Block +Detect):\n%s", d)
	}
	if n := detected.Statuses[corpus.Attack][http.StatusForbidden]; n > 0 {
		t.Errorf("mode Detect refused %d attacks", n)
	}
}

// What an access policy refuses never reached the WAF.
func TestDeniedRequestsSayNothingAboutTheWAF(t *testing.T) {
	o := start(t, "Block", "{mtls: Permissive}")
	c := own(t)
	c.Samples = slices.DeleteFunc(c.Samples, func(s corpus.Sample) bool { return s.Label == corpus.Attack })
	r := replay(t, attack.Options{Corpus: c, Rules: attack.DefaultRules(), Endpoint: wire.Options{URL: "http://" + o.url}})
	if r.FalseAlarms.Of != 0 || r.Inconclusive == "" || len(r.Unclear) != len(c.Samples) || r.Unclear[0].Why != "access_denied" {
		t.Errorf("%+v, %s, %d unclear", r.FalseAlarms, r.Inconclusive, len(r.Unclear))
	}
}

// blazehttp's corpus is under a licence of its own and stays outside; see
// docs/attack-replay.md.
func TestBlazehttp(t *testing.T) {
	dir := os.Getenv("OUTRIDER_BLAZEHTTP")
	if dir == "" {
		t.Skip("NOT RUN: OUTRIDER_BLAZEHTTP names no folder of blazehttp's samples, so the corpus readers and the WAF meet none of them")
	}
	c, err := corpus.Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := c.Count(corpus.Attack), c.Count(corpus.Benign); a < 200 || b < 10_000 || len(c.Unreadable)*1000 > a+b {
		t.Errorf("%d attacks, %d benign requests; unreadable: %v", a, b, c.Unreadable)
	}
	o := start(t, "Block", "{mtls: Permissive, defaultAccess: AllowAll}")
	rules := attack.DefaultRules()
	rules.BlockStatus = nil
	r := replay(t, attack.Options{
		Corpus: c, Rules: rules, AccessLog: &follow{t: t, log: o.Log}, Endpoint: wire.Options{URL: "http://" + o.url},
	})
	if errs := len(r.Unclear); errs*1000 > len(c.Samples) {
		t.Errorf("%d samples say nothing about the WAF", errs)
	}
	if r.Detection.Of == 0 || r.FalseAlarms.Of == 0 || len(r.Rules) == 0 {
		t.Errorf("%+v, %+v, %d rules", r.Detection, r.FalseAlarms, len(r.Rules))
	}
}
