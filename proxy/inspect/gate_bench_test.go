package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// wordyJSON is a body of objects with some text in them, so that 64 KiB have fewer
// values than the 1,000 that are inspected.
func wordyJSON(size int) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for n := 0; b.Len() < size-420; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"550e8400-e29b-41d4-a716-%012d","name":"Espresso cup","description":"A cup of white porcelain, 80 ml; for the dishwasher, too. Made in Limoges.","price":12.5,"note":"Ask for the saucer; it comes in a box of its own, and breaks easily when it is not packed well. We send it within two days, and take it back within thirty, no questions asked."}`, n)
	}
	b.WriteString(`]}`)
	return b.String()
}

func benchmarks() []sample {
	post := func(name, contentType, body string) sample {
		return newSample(name, "POST", "/v1/charges", "HTTP/1.1", withBody(request("POST", "/").Header.(header), contentType, body), body)
	}
	get := func(name, target string) sample {
		return newSample(name, "GET", target, "HTTP/1.1", request("GET", "/").Header.(header), "")
	}
	form := "customer=cus_4711&amount=1250&currency=EUR&description=Espresso+cups&reference=550e8400-e29b-41d4-a716-446655440000&capture=true&statement=SHOP+4711&metadata%5Border%5D=A-1000&email=ada%40example.com&notify=1"
	return []sample{
		get("GET", "/v1/charges/42"),
		get("GET 3 arguments", "/v1/charges?customer=42&limit=10&order=desc"),
		post("form 200 B", "application/x-www-form-urlencoded", form),
		post("JSON 1 KiB", "application/json", jsonBody(1<<10)),
		post("JSON 10 KiB", "application/json", jsonBody(10<<10)),
		post("JSON 10 KiB of text", "application/json", wordyJSON(10<<10)),
		post("JSON 64 KiB of text", "application/json", wordyJSON(64<<10)),
		post("text 16 KiB", "text/plain", strings.Repeat("harmless words, of which there are many.\n", (16<<10)/42)),
		post("lines of JSON 10 KiB", "application/x-ndjson", jsonLines(10<<10)),
		post("XML 1 KiB", "application/soap+xml", xmlBodyOf(1<<10)),
		post("XML 10 KiB", "application/soap+xml", xmlBodyOf(10<<10)),
		post("multipart 1 KiB", "multipart/form-data; boundary=b", part(`name="customer"`, "cus_4711")+part(`name="note"`, "Ring twice, please")+fileOf("text/csv", strings.Repeat("4711;Espresso cups;12.50\r\n", 24))),
		post("multipart 64 KiB of bytes", "multipart/form-data; boundary=b", fileOf("image/png", "\x89PNG\r\n\x1a\n"+strings.Repeat("\x00\x01\x9f\x80", 16<<10))),
		post("gRPC-Web 1 KiB", "application/grpc-web+proto", messageOf(strings.Repeat("a cup of white porcelain, ", 38))),
		post("GraphQL", "application/graphql", `mutation Pay { charge(customer: "cus_4711", amount: 1250, note: "Ring twice, please") { id status } }`),
		get("SQL injection", "/search?q=1%27%20OR%201=1--%20-"),
	}
}

// jsonLines are small objects, one per line.
func jsonLines(size int) string {
	var b strings.Builder
	for n := 0; b.Len() < size-30; n++ {
		fmt.Fprintf(&b, "{\"id\":%d,\"name\":\"item\"}\n", n)
	}
	return b.String()
}

// xmlBodyOf is a message of SOAP.
func xmlBodyOf(size int) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><order xmlns="urn:shop">`)
	for n := 0; b.Len() < size-80; n++ {
		fmt.Fprintf(&b, `<item id="%d"><name>item</name></item>`, n)
	}
	b.WriteString(`</order></s:Body></s:Envelope>`)
	return b.String()
}

// BenchmarkGate compares, in one run, the engine alone with the gate in front of it.
func BenchmarkGate(b *testing.B) {
	i := sharedInspector(b, "large", config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 128 << 10}})
	for _, s := range benchmarks() {
		plan := i.Plan(s.req)
		in, _, _ := plan.input(plan.rule, []byte(s.body), true)
		in.checkpoint = func() error { return nil }
		e := rulesOf(i.engines[0])
		for name, evaluate := range map[string]func() (finding, error){
			"engine": func() (finding, error) { return e.evaluate(s.req, in) },
			"gate": func() (finding, error) {
				if f, done := e.prove(s.req, &in); done {
					return f, nil
				}
				return e.evaluate(s.req, in)
			},
		} {
			b.Run(s.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if f, err := evaluate(); err != nil || f.attack != (s.name == "SQL injection") {
						b.Fatal(f, err)
					}
				}
			})
		}
	}
}

// BenchmarkGateParallel is what requests cost that are proved at the same time.
func BenchmarkGateParallel(b *testing.B) {
	i := mesh(b)
	s := benchmarks()[1]
	e := rulesOf(i.engines[0])
	if e == nil {
		b.Fatal("another engine")
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !e.clean(s.req, input{}) {
				b.Error("not proved")
			}
		}
	})
}
