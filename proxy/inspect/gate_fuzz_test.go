package inspect

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// contentTypes are those of bodies that the gate reads, and some that it leaves to
// the engine.
var contentTypes = []string{
	"", "application/json", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream",
	"application/problem+json; charset=utf-8", "text/xml", "multipart/form-data; boundary=x", "application/x-protobuf", "x/y", "\xa0application/json",
	"application/x-ndjson", "application/json-seq", "application/graphql", "application/grpc-web", "application/grpc-web-text", "application/soap+xml",
}

func fuzzed(target, name, value, cookie, body string, kind uint8) sample {
	fields := header{
		{"Host", "payments.shop.svc"},
		{"User-Agent", "checkout/1.2"},
		{"Accept", "*/*"},
		{"Cookie", cookie},
		{name, value},
	}
	method := "GET"
	if t := contentTypes[int(kind)%len(contentTypes)]; body != "" || t != "" {
		method = "POST"
		fields = append(fields, [2]string{"Content-Type", t}, [2]string{"Content-Length", fmt.Sprint(len(body))})
	}
	return newSample("fuzzed", method, "/"+target, "HTTP/1.1", fields, body)
}

// Whatever the gate takes for clean, the engine does.
func FuzzGateAgreesWithTheEngine(f *testing.F) {
	f.Add("v1/charges?customer=42&q=a+b%20c", "X-Request-Id", "550e8400-e29b-41d4", "session=abc; a=b", `{"a":[1,"x y",{"b":null}],"c":"d\u0065"}`, uint8(1))
	f.Add("a/b.php?x=../../etc/passwd", "Referer", "https://x/", "", "q=1' or 1=1--", uint8(2))
	f.Add("", "X-Filename", "a.jsp", "$Version=1", "<script>alert(1)</script>", uint8(3))
	f.Add("é?ü=%u2019", "Range", "bytes=5-1", "", "\x00\x01abcdefghijk", uint8(4))
	f.Add("", "X-A", "b", "", "<a b='1 or 1=1'><c>x</c><!-- --><c>&lt;script></c></a>", uint8(6))
	f.Add("", "X-A", "b", "", `<?xml version="1.0"?><!DOCTYPE a><s:a xmlns:s="urn:x"><?php x?><b/>t<b>u`, uint8(6))
	f.Add("", "X-A", "b", "", "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.php\"\r\nContent-Type: text/csv; charset=utf-7\r\n\r\n1;2\r\n--x--\r\n", uint8(7))
	f.Add("", "X-A", "b", "", "--x\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\nutf-7\r\n--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3c", uint8(7))
	f.Add("", "X-A", "b", "", "{\"a\":1}\n{\"b\":\"c d\"}\n[1,\"\\u003c", uint8(11))
	f.Add("", "X-A", "b", "", "\x1e[1]\n\x1e{\"a\":\"b\"}\n", uint8(12))
	f.Add("", "X-A", "b", "", `query Q {user(name: "a b") {id}}`, uint8(13))
	f.Add("", "X-A", "b", "", "\x00\x00\x00\x00\x08\x0a\x06a b; c\x00\x00\x00\x00\x02\x0a", uint8(14))
	f.Add("", "X-A", "b", "", "AAAAAAgKBmEgYjsgYw==", uint8(15))
	for n, s := range ruleSetSamples(f) {
		if n%40 == 0 {
			agent, _ := s.req.Header.Get("user-agent")
			f.Add(strings.TrimPrefix(s.req.Target, "/"), "User-Agent", agent, "", s.body, uint8(n%len(contentTypes)))
		}
	}
	engines := []*Inspector{mesh(f), stock(f), short(f)}
	f.Fuzz(func(t *testing.T, target, name, value, cookie, body string, kind uint8) {
		for _, i := range engines {
			agree(t, i, fuzzed(target, name, value, cookie, body, kind), &agreement{})
		}
	})
}

// pieces of payloads and of harmless values, to be put together at random: what the
// necessary conditions of rules are about.
var pieces = strings.Fields(`select union from where and or sleep benchmark insert update delete drop table waitfor delay
	script onerror= alert(1) javascript: <img src= iframe svg <a href= document.cookie eval( ${ #{ {{ }} ) ( [ ] { } ' " ` + "`" + `
	../ ..\ /etc/passwd c:\windows cmd.exe powershell bash nc wget curl cat /bin/sh ; | & && || $( \x41 \u0041 %27 %253c &lt; &#x3c; + %u2019
	-- /* */ # 0x27 1=1 1e1 2147483648 -1 .. . , : :// http:// https:// @ = ? ! ~ * ^ % php:// data: __proto__ constructor java.lang.Runtime
	item name order customer 42 3.14 true null GmbH Müller K ſ 你好 2026-11-26T10:00:00Z alice@example.com`)

func randomValue(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(7) {
		b.WriteString(pieces[r.IntN(len(pieces))])
		if r.IntN(3) == 0 {
			b.WriteByte(" \t\n\x00+/"[r.IntN(6)])
		}
	}
	s := b.String()
	if r.IntN(8) == 0 {
		s = strings.ToUpper(s)
	}
	return s
}

// short has prefixes of bodies inspected only.
func short(t testing.TB) *Inspector {
	return sharedInspector(t, "short", config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 25}})
}

// Prefixes of JSON are proved, wherever it is cut.
func TestGateAgreesOnPrefixes(t *testing.T) {
	var sum agreement
	for n := range 120 {
		spec := config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 1 + n}}
		if raced || n%5 > 0 {
			continue // an engine for each is a lot
		}
		i := build(t, spec)
		for _, body := range []string{
			`{"a":[1,2,{"b":"text","c":null}],"d":true,"e":{"f":[[],{}]},"long":"` + strings.Repeat("word ", 40) + `"}`,
			`[{"q":"<b>x</b>"},"` + strings.Repeat("y", 120) + `"]`, ` "` + strings.Repeat("z", 200), `{"a":1}}}` + strings.Repeat(" ", 200),
			`{"a":"1' or '1'='1","b":"` + strings.Repeat("y", 120), `{"\u0061\n":"b\\"},` + strings.Repeat("[", 130), strings.Repeat(`{"a":`, 60), `{a:1,b}` + strings.Repeat("x", 200),
		} {
			agree(t, i, fuzzed("x", "X-A", "b", "", body, 1), &sum)
		}
	}
	t.Log(sum)
	if sum.proved < 80 && !raced {
		t.Errorf("only %d of %d are proved", sum.proved, sum.all)
	}
}

// A quick search of the same kind that runs each time.
func TestGateAgreesOnRandomValues(t *testing.T) {
	rounds := 6000
	if raced {
		rounds = 100 // each takes a hundred times as long
	}
	r := rand.New(rand.NewPCG(7, 13))
	engines := []*Inspector{mesh(t), stock(t), short(t)}
	sums := make([]agreement, len(contentTypes))
	var sum agreement
	for n := range rounds {
		kind := uint8(r.IntN(len(contentTypes)))
		v := [4]string{}
		v[r.IntN(4)] = randomValue(r)
		target := "v1/items?q=" + strings.NewReplacer(" ", "%20", "#", "%23", "&", "%26").Replace(v[0])
		var body string
		switch kind {
		case 1:
			body = fmt.Sprintf(`{"a":%q,"b":[1,2,{"c d":%q}]}`, v[3], v[3])
		case 2:
			body = "a=1&b=" + v[3]
		default:
			body = structured(r, kind, v[3])
		}
		name := []string{"X-Thing", "User-Agent", "Referer", "Range", "Accept", "X-File-Name"}[r.IntN(6)]
		agree(t, engines[n%3], fuzzed(target, name, v[1], "a="+v[2], body, kind), &sums[kind])
	}
	for kind, one := range sums {
		t.Logf("%q: %v", contentTypes[kind], one)
		sum.all, sum.proved = sum.all+one.all, sum.proved+one.proved
		unread := strings.HasPrefix(contentTypes[kind], "x/") || strings.HasPrefix(contentTypes[kind], "\xa0")
		if least := one.all / 8; one.proved < least && !raced && !unread {
			t.Errorf("%q: fewer are proved than %d", contentTypes[kind], least)
		}
	}
	if sum.proved < rounds/20 {
		t.Errorf("only %d of %d are proved, which compares little", sum.proved, rounds)
	}
}

// structured puts a value into a body of a kind.
func structured(r *rand.Rand, kind uint8, value string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(value))
	switch contentTypes[kind] {
	case "text/xml", "application/soap+xml":
		return fmt.Sprintf(`<?xml version="1.0"?><order id="%s"><item>1</item><item note='x'>%[1]s<b/>y</item></order>`, escaped.String())
	case "multipart/form-data; boundary=x":
		name, file, content := randomWord(r), randomWord(r), "id;name"
		if r.IntN(2) == 0 {
			value, content = "hello", value
		}
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + file + ".txt\"\r\nContent-Type: text/plain\r\n\r\n" + content + "\r\n--x--\r\n"
	case "application/x-ndjson":
		return fmt.Sprintf("{\"a\":%q}\n[1,{\"c d\":%q}]\n", value, value)
	case "application/json-seq":
		return fmt.Sprintf("\x1e{\"a\":%q}\n\x1e2\n", value)
	case "application/graphql":
		return fmt.Sprintf(`query Q {user(name: %q) {id}}`, value)
	case "application/grpc-web":
		return messageOf(value)
	case "application/grpc-web-text":
		return base64.StdEncoding.EncodeToString([]byte(messageOf(value)))
	}
	return value
}

// messageOf is a message of one text in a frame of gRPC.
func messageOf(value string) string {
	return framed(0, string(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), value)))
}

// randomWord is mostly one.
func randomWord(r *rand.Rand) string {
	if r.IntN(4) > 0 {
		return []string{"note", "file", "a[0]", "report-2026"}[r.IntN(4)]
	}
	return strings.Map(func(c rune) rune {
		if c == '"' || c < ' ' {
			return -1
		}
		return c
	}, pieces[r.IntN(len(pieces))])
}

// serviceTraffic are requests as services make them.
func serviceTraffic(r *rand.Rand, n int) []sample {
	all := make([]sample, n)
	for i := range all {
		all[i] = serviceRequest(r)
	}
	return all
}

func serviceRequest(r *rand.Rand) sample {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	id := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
	fields := header{
		{"Host", one("payments.shop.svc", "orders.shop.svc.cluster.local:8080", "users")},
		{"User-Agent", one("Go-http-client/1.1", "python-requests/2.32.3", "okhttp/4.12.0", "axios/1.7.2", "Apache-HttpClient/5.3.1 (Java/21.0.3)", "curl/8.7.1")},
		{"Accept", one("application/json", "*/*", "application/json, text/plain, */*")},
		{"Accept-Encoding", one("gzip", "gzip, deflate, br")},
		{"X-Request-Id", id},
		{"Traceparent", "00-" + strings.ReplaceAll(id, "-", "") + "-00f067aa0ba902b7-01"},
	}
	if r.IntN(2) == 0 {
		fields = append(fields, [2]string{"Authorization", "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJjaGVja291dCIsImlhdCI6MTcwMDAwMDAwMH0.c2lnbmF0dXJl" + strings.ReplaceAll(id, "-", "")})
	}
	path := one("/v1/charges", "/api/orders/", "/users/me", "/v2/catalog/items/", "/healthz") + one("", "", id)
	switch r.IntN(4) {
	case 0:
		return newSample("get", "GET", path, "HTTP/1.1", fields, "")
	case 1:
		q := fmt.Sprintf("?limit=%d&cursor=%s&sort=%s&from=2026-11-0%dT00:00:00Z", r.IntN(100), id, one("created_at", "-price", "name,asc"), 1+r.IntN(9))
		return newSample("query", "GET", path+q, "HTTP/1.1", fields, "")
	case 2:
		body := fmt.Sprintf("grant_type=client_credentials&scope=%s&client_id=%s", one("orders.read", "openid+profile", "charges%3Awrite"), id)
		return newSample("form", "POST", path, "HTTP/1.1", withBody(fields, "application/x-www-form-urlencoded", body), body)
	}
	body := serviceJSON(r, id)
	return newSample("json", one("POST", "PUT", "PATCH"), path, one("HTTP/1.1", "HTTP/2.0"), withBody(fields, one("application/json", "application/json; charset=utf-8", "application/problem+json"), body), body)
}

func withBody(fields header, contentType, body string) header {
	return append(slices.Clone(fields), [2]string{"Content-Type", contentType}, [2]string{"Content-Length", fmt.Sprint(len(body))})
}

// serviceJSON is an order with some items and the texts that people write.
func serviceJSON(r *rand.Rand, id string) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	var items []string
	for n := range 1 + r.IntN(8) {
		items = append(items, fmt.Sprintf(`{"sku":"AB-%d","quantity":%d,"price":{"amount":%d.%02d,"currency":%q},"title":%q,"gift":%t}`,
			1000+n, 1+r.IntN(5), r.IntN(500), r.IntN(100), one("EUR", "USD"),
			one("Espresso, double", "USB-C cable 2 m", "The Hitchhiker's Guide", "T-shirt (blue, XL)", "Kaffee & Kuchen", "Crème brûlée"), n%2 == 0))
	}
	return fmt.Sprintf(`{"id":%q,"customer":{"name":%q,"email":%q,"phone":"+49 30 123456","address":{"street":%q,"zip":"10115","country":"DE"}},"createdAt":"2026-11-26T02:31:06.123Z","callback":"https://hooks.example.com/orders/%s?v=2","note":%q,"tags":["new","priority"],"items":[%s]}`,
		id, one("Ada Lovelace", "Zoë Müller", "Conan O'Brien", "李小龙"), one("ada@example.com", "first.last+tag@sub.example.co.uk"),
		one("Hauptstr. 5", "221B Baker Street", "5 Rue de l'Église"), id,
		one("", "leave it at the door, please", "Don't ring the bell - baby sleeping!", "Call me @ noon; thanks :)"), strings.Join(items, ","))
}

// Most of what services say to each other is proved.
func TestServiceTrafficIsProved(t *testing.T) {
	rounds := 400
	if raced {
		rounds = 100
	}
	sums, others := map[string]*agreement{}, map[string]bool{}
	samples := serviceTraffic(rand.New(rand.NewPCG(1, 2)), rounds)
	for _, s := range samples[:rounds/4] {
		for name, i := range map[string]*Inspector{"paranoia 1, stock": stock(t), "paranoia 2": sharedInspector(t, "paranoia 2", config.InspectionSpec{Paranoia: 2})} {
			if sums[name] == nil {
				others[name], sums[name] = true, &agreement{everyone: !raced}
			}
			agree(t, i, s, sums[name])
		}
	}
	for _, s := range samples {
		sum := sums[s.name]
		if sum == nil {
			sum = &agreement{everyone: !raced}
			sums[s.name] = sum
		}
		agree(t, mesh(t), s, sum)
	}
	all, proved := 0, 0
	for kind, sum := range sums {
		t.Logf("%s: %v", kind, sum)
		if !others[kind] {
			all, proved = all+sum.clean, proved+sum.proved
		}
	}
	if !raced && proved*100 < all*95 {
		t.Errorf("%d of %d clean requests are proved, want 95 in 100", proved, all)
	}
}
