package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestPlansDoNotAllocate(t *testing.T) {
	off := newInspector(testOptions())
	on := mesh(t)
	for name, i := range map[string]*Inspector{"off": off, "on": on} {
		req := request("POST", "/v1/charges", jsonType, "Content-Length: 10")
		if n := testing.AllocsPerRun(100, func() { i.Plan(req) }); n != 0 {
			t.Errorf("%s: a plan makes %v allocations", name, n)
		}
	}
	var h Holder
	h.Swap(off)
	defer h.Close()
	req, ctx := request("GET", "/"), t.Context()
	if n := testing.AllocsPerRun(100, func() { h.Inspect(ctx, req, h.Plan(req), nil, true) }); n != 0 {
		t.Errorf("off: a request makes %v allocations", n)
	}
}

func benchmarkRequest(b *testing.B, i *Inspector, req *flow.Request, body string, want flow.Outcome) {
	b.Helper()
	data := []byte(body)
	b.ReportAllocs()
	for b.Loop() {
		if v := i.Inspect(b.Context(), req, i.Plan(req), data, true); v.Outcome != want {
			b.Fatalf("verdict %+v", v)
		}
	}
}

func jsonBody(size int) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for n := 0; b.Len() < size-30; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"item"}`, n)
	}
	b.WriteString(`]}`)
	return b.String()
}

func BenchmarkOff(b *testing.B) {
	benchmarkRequest(b, newInspector(testOptions()), request("GET", "/v1/charges/42"), "", flow.InspectionOff)
}

func BenchmarkGet(b *testing.B) {
	benchmarkRequest(b, mesh(b), request("GET", "/v1/charges/42"), "", flow.Clean)
}

func BenchmarkGetWithArguments(b *testing.B) {
	benchmarkRequest(b, mesh(b), request("GET", "/v1/charges?customer=42&limit=10&order=desc"), "", flow.Clean)
}

func BenchmarkJSON1KB(b *testing.B) {
	body := jsonBody(1 << 10)
	benchmarkRequest(b, mesh(b), request("POST", "/v1/charges", jsonType, fmt.Sprintf("Content-Length: %d", len(body))), body, flow.Clean)
}

func BenchmarkText16KB(b *testing.B) {
	body := strings.Repeat("harmless words\n", (16<<10)/15)
	benchmarkRequest(b, mesh(b), request("POST", "/v1/notes", "Content-Type: text/plain", fmt.Sprintf("Content-Length: %d", len(body))), body, flow.Clean)
}

func BenchmarkSQLInjection(b *testing.B) {
	benchmarkRequest(b, mesh(b), request("GET", "/search?q=1%27%20OR%201=1--%20-"), "", flow.Blocked)
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		i, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{})}, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		i.Close()
	}
}
