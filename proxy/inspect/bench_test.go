package inspect

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

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
	if n := testing.AllocsPerRun(100, func() { h.Decide(ctx, req, h.Plan(req), Seen{Complete: true}) }); n != 0 {
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

// A unary call of an order of some fields, 240 bytes.
func orderCall() string {
	item := stringField(1, "espresso, double") + "\x10\x02" + stringField(3, "12.50 EUR")
	order := stringField(1, "customers/4711") + stringField(2, item) + stringField(2, item) + stringField(2, item) +
		stringField(3, "leave it at the door") + stringField(4, "0af7651916cd43dd8448eb211c80319c")
	return framed(0, order)
}

func BenchmarkCallHeaders(b *testing.B) {
	benchmarkCall(b, mesh(b), flow.NotInspected)
}

func BenchmarkCallUnary(b *testing.B) {
	benchmarkCall(b, unary(b), flow.Clean)
}

func benchmarkCall(b *testing.B, i *Inspector, want flow.Outcome) {
	b.Helper()
	req, data := call(), []byte(orderCall())
	b.ReportAllocs()
	for b.Loop() {
		plan := i.Plan(req)
		n := plan.Wants(nil)
		if n > 0 {
			n = plan.Wants(data[:n])
		}
		if v := i.Inspect(b.Context(), req, plan, data[:n], true); v.Outcome != want {
			b.Fatalf("verdict %+v", v)
		}
	}
}

// BenchmarkOpenCall is what inspection of a call costs apart from the engine.
func BenchmarkOpenCall(b *testing.B) {
	stream := stringField(1, "customers/4711")
	for name, form := range map[string]struct{ stream, coding string }{
		"plain": {framed(0, stream), ""}, "gzip": {framed(1, gzipped(b, stream)), "gzip"},
	} {
		b.Run(name, func(b *testing.B) {
			req, data := call("grpc-encoding: "+form.coding), []byte(form.stream)
			plan := unary(b).Plan(req)
			b.ReportAllocs()
			for b.Loop() {
				if in := plan.inputOfCall(plan.rule, data, true); in.broken != nil {
					b.Fatal(in.broken)
				}
			}
		})
	}
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

// One benign body of 857 KB in small objects: with the engine alone it costs seconds.
// What it costs here is up to the policy; that it is refused is one of the ways.
func BenchmarkHugeJSON(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"items":[`)
	for body.Len() < 857_000 {
		body.WriteString(`{"id":12345,"name":"a benign name","price":12.5},`)
	}
	body.WriteString("0]}")
	for _, bb := range []struct {
		name string
		spec config.InspectionSpec
	}{
		{"overflow=Deny", config.InspectionSpec{Body: config.InspectionBody{Overflow: config.OverflowDeny}}},
		{"overflow=InspectPrefix", config.InspectionSpec{}},
		{"arguments", config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 1 << 20}}},
		{"cpuMillis=20", config.InspectionSpec{
			CPUMillis: 20, Body: config.InspectionBody{InspectBytes: 1 << 20},
			OnFailure: config.OnFailure{Arguments: config.FailAllow},
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			i := build(b, bb.spec)
			req := request("POST", "/", jsonType, "Content-Length: 857000")
			text := []byte(body.String())
			plan := i.Plan(req)
			first, complete := plan.First(text)
			b.ReportAllocs()
			var v flow.Inspection
			before := processorTime(b)
			for b.Loop() {
				v = i.Inspect(b.Context(), req, plan, first, complete)
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
			b.Logf("%s, %s, refused %t", v.Outcome, v.Uninspected, v.Refuse)
		})
	}
}

// processorTime is what the whole process has taken of processors, the collector of
// garbage included: on a busy machine the clock says little.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
