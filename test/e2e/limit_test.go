package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// hourly is a limit that a test uses up and that gives nothing back meanwhile.
const hourly = "{rate: 1, per: Hour, burst: 2}"

// A limit for each caller is answered in the words of the protocol, and takes
// nothing from another caller.
func TestACallerBeyondItsLimit(t *testing.T) {
	t.Parallel()
	policies := access("Allow", `{from: [{principals: ["*"]}], limit: `+hourly+`}`)

	p := newPair(t, side{forward: serveApp(t, hello), policies: policies}, side{})
	w := dial(t, p.out.Address(t, "out"))
	w.get("/").wants(t, 200)
	w.get("/").wants(t, 200)
	a := w.get("/").refused(t, 429, "rate_limited")
	if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 || n > 3600 {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	other := dialMesh(t, p.in.Address(t, "in"), p.ca.Source(t, intruder), h1)
	other.get("/").wants(t, 200)
	r := p.in.Log.AwaitReason(t, "rate_limited")
	from, _ := r["source"].(map[string]any)
	if d, _ := r["decision"].(map[string]any); from["id"] != checkout || d["basis"] != "limit" || d["policy"] != "shop/allow-callers" || d["rule"] != 0.0 {
		t.Errorf("record %v", r)
	}
	counted(t, p.in, 1, "outrider_rate_limited_total", `policy="shop/allow-callers"`)
}

func TestAGRPCCallBeyondItsLimit(t *testing.T) {
	t.Parallel()
	grpc := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "0")
	}
	policies := access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [POST], paths: ["/shop.Payments/{*}"]}], limit: `+hourly+`}`)
	p := newPair(t, side{forward: serveHTTP2(t, grpc), policies: policies}, side{})
	client := &http.Client{Transport: &http.Transport{Protocols: unencryptedHTTP2()}}
	defer client.CloseIdleConnections()
	for n, want := range []string{"0", "0", "8"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.out.Address(t, "out")+"/shop.Payments/Charge", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		pushback := res.Header.Get("Grpc-Retry-Pushback-Ms")
		if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != want || (pushback != "") != (want == "8") {
			t.Errorf("call %d: status %d, %v; want gRPC's %s", n, res.StatusCode, res.Header, want)
		}
	}
}

// What is not HTTP counts when it is opened; what is open goes on.
func TestOpaqueConnectionsBeyondALimit(t *testing.T) {
	t.Parallel()
	policies := access("Allow", "{from: [{principals: [\""+checkout+"\"]}]}") + next +
		access("Deny", "{limit: {rate: 1, per: Hour, key: Total}}")
	tcp := side{listener: ", protocol: TCP"}
	p := newPair(t, side{forward: serveTCP(t, echo), policies: policies, listener: tcp.listener}, tcp)
	first := dial(t, p.out.Address(t, "out"))
	first.send("one")
	first.reads("one")
	second := dial(t, p.out.Address(t, "out"))
	second.send("two")
	if rest, _ := second.ended(); rest != "" {
		t.Errorf("the second connection got %q", rest)
	}
	p.in.Log.AwaitReason(t, "rate_limited")
	first.send("more")
	first.reads("more")
}

// A proposal that would refuse the caller, and one that would let in whoever is
// refused, are counted and written down, and change no answer.
func TestAProposalChangesNoAnswer(t *testing.T) {
	t.Parallel()
	proposed := filepath.Join(t.TempDir(), "proposed")
	testkit.WritePolicies(t, proposed, access("Allow", `{from: [{principals: ["`+intruder+`"]}]}`))
	live := t.TempDir()
	testkit.WritePolicies(t, live, access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`))
	p := newPair(t, side{
		forward: serveApp(t, hello), spec: "  policies: {directory: " + strconv.Quote(live) + ", shadow: " + strconv.Quote(proposed) + "}\n",
	}, side{})
	w := dial(t, p.out.Address(t, "out"))
	const sample = "outrider_authz_shadow_total"
	testkit.Eventually(t, "the proposal is tried", func() bool {
		w.get("/").wants(t, 200)
		return metric(t, p.in, sample, `live="allow"`, `shadow="deny"`) > 0
	})
	w.get("/seen").wants(t, 200)
	r := p.in.Log.Await(t, "a served call that would be refused", func(r map[string]any) bool { return r["path"] == "/seen" && r["direction"] == "inbound" })
	if s, _ := r["shadow"].(map[string]any); s["verdict"] != "deny" || r["reason"] != nil {
		t.Errorf("record %v", r)
	}
	// An HTTP connection that nobody may use is refused before its first request.
	if other, err := tryMesh(t, p.in.Address(t, "in"), p.ca.Source(t, intruder), h1); err == nil {
		other.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
		if a, err := other.tryAnswer(); err == nil && a.StatusCode != 403 {
			t.Errorf("the proposal lets in: status %d", a.StatusCode)
		}
	}
	if d := p.in.Log.AwaitReason(t, "access_denied"); !strings.Contains(d["detail"].(string), "shop/allow-callers") {
		t.Errorf("record %v", d)
	}
}
