package evidence_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/test/wafcorpus/services"
)

// calls are the requests by which the cost of inspection is told (docs/waf.md).
func benchmarked() map[string]struct {
	req  *flow.Request
	body evidence.Body
} {
	type call = struct {
		req  *flow.Request
		body evidence.Body
	}
	fields := header{
		{"Host", "payments.shop.svc.cluster.local"},
		{"User-Agent", "checkout/1.4 Go-http-client/2.0"},
		{"Accept", "application/json"},
		{"Accept-Encoding", "gzip"},
		{"X-Request-Id", "b7a1c9e0-3a5b-4c6d-8e7f-0123456789ab"},
		{"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"Content-Type", "application/json"},
	}
	all := map[string]call{
		"GET":           {req: &flow.Request{Target: "/v1/charges/ch_1N8sX2eZvKYlo2C", Header: fields}},
		"GETArguments3": {req: &flow.Request{Target: "/v1/charges?customer=cus_42&limit=10&order=desc", Header: fields}},
	}
	for _, kb := range []int{1, 10, 64} {
		all[fmt.Sprintf("JSON%dKB", kb)] = call{
			req:  &flow.Request{Target: "/v1/charges", Header: fields},
			body: evidence.Body{Text: []byte(document(kb << 10)), Type: "application/json"},
		}
	}
	return all
}

// document is an array of small objects.
func document(size int) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for n := 0; b.Len() < size-80; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"Espresso, double","sku":"SKU-%06d","price":12.5,"active":true}`, n, n)
	}
	b.WriteString(`]}`)
	return b.String()
}

// A clean request costs a looker and, if it has one, a copy of its body.
func TestCleanRequestsHardlyAllocate(t *testing.T) {
	const most = 16
	for name, c := range benchmarked() {
		if found := evidence.Look(c.req, c.body); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
		if n := testing.AllocsPerRun(20, func() { evidence.Look(c.req, c.body) }); n > most {
			t.Errorf("%s: %v allocations, more than %d", name, n, most)
		}
	}
}

// BenchmarkServices is the mean of calls in the shapes of public APIs, in which people's
// texts are, with all that looks like attacks.
func BenchmarkServices(b *testing.B) {
	calls := services.Calls(seed, 360)
	size := 0
	for _, c := range calls {
		size += len(c.Target) + len(c.Body)
	}
	b.SetBytes(int64(size / len(calls)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		look(calls[n%len(calls)])
	}
}

func BenchmarkLook(b *testing.B) {
	for name, c := range benchmarked() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				evidence.Look(c.req, c.body)
			}
		})
	}
}
