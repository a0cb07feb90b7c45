package inspect

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// header is a flow.Header for tests.
type header = flow.Fields

const batch = "spiffe://cluster.local/ns/shop/sa/batch"

// request makes one as our HTTP engine would; fields are "name: value".
func request(method, target string, fields ...string) *flow.Request {
	h := header{{"Host", "payments.shop.svc"}, {"User-Agent", "checkout/1.2"}, {"Accept", "application/json"}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h = append(h, [2]string{name, value})
	}
	path, query, _ := strings.Cut(target, "?")
	return &flow.Request{
		Conn: &flow.Connection{
			Remote:      netip.MustParseAddrPort("10.1.2.3:41000"),
			Destination: netip.MustParseAddrPort("10.1.2.4:8080"),
			PeerID:      "spiffe://cluster.local/ns/shop/sa/checkout",
		},
		Method: method, Target: target, Path: path, Query: query,
		Host: "payments.shop.svc", Header: h, Proto: "HTTP/1.1",
	}
}

func from(peer string, req *flow.Request) *flow.Request {
	req.Conn.PeerID = peer
	return req
}

func policyDoc(spec config.InspectionSpec) config.InspectionPolicy {
	p := config.InspectionPolicy{Spec: spec}
	p.Metadata.Namespace, p.Metadata.Name = "shop", "waf"
	return p
}

var payments = authz.Workload{Namespace: "shop", Name: "payments", Labels: map[string]string{"app": "payments"}}

// testNow is when the tests take place.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// build makes an Inspector of one policy that lives as long as the test.
func build(t testing.TB, spec config.InspectionSpec) *Inspector {
	t.Helper()
	i, err := New([]config.InspectionPolicy{policyDoc(spec)}, testOptions())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(i.Close)
	return i
}

func testOptions() Options {
	return Options{
		Workload: payments,
		Bounds:   within(time.Minute, time.Minute), // other tests may keep the machine busy
		Now:      func() time.Time { return testNow },
	}
}

func within(wait, budget time.Duration) func() Bounds {
	return func() Bounds { return Bounds{Wait: wait, Budget: budget} }
}

// shared are the engines that several tests use: building one takes a third of
// a second.
var shared struct {
	mu         sync.Mutex
	inspectors map[string]*Inspector
}

func sharedInspector(t testing.TB, name string, spec config.InspectionSpec) *Inspector {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if i, ok := shared.inspectors[name]; ok {
		return i
	}
	i, err := New([]config.InspectionPolicy{policyDoc(spec)}, testOptions())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if shared.inspectors == nil {
		shared.inspectors = map[string]*Inspector{}
	}
	shared.inspectors[name] = i
	return i
}

// mesh is the profile and the settings that a policy has which says nothing,
// but for batch, whose calls are only watched.
func mesh(t testing.TB) *Inspector {
	return sharedInspector(t, "mesh", config.InspectionSpec{
		CPUMillis: 10_000, // the race detector makes rules ten times as slow
		Callers:   []config.CallerInspection{{Principals: []string{batch}, Mode: config.DetectOnly}},
	})
}

func stock(t testing.TB) *Inspector {
	return sharedInspector(t, "crs", config.InspectionSpec{Profile: config.ProfileCRS, CPUMillis: 10_000})
}

// judge plays the caller: it plans, reads as much of the body as the plan wants
// and asks.
func judge(t testing.TB, i *Inspector, req *flow.Request, body string) flow.Inspection {
	t.Helper()
	plan := i.Plan(req)
	first, complete := plan.First([]byte(body))
	return i.Inspect(t.Context(), req, plan, first, complete)
}

func hasRule(v flow.Inspection, id int) bool { return slices.Contains(v.Rules, id) }

// hasFamily tells whether a rule of a file of the set, such as 942, contributed.
func hasFamily(v flow.Inspection, family int) bool {
	return slices.ContainsFunc(v.Rules, func(id int) bool { return id/1000 == family })
}

// stringField is a field of a message in protobuf.
func stringField(n protowire.Number, s string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s))
}
