package inspect

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

const (
	linesType = "Content-Type: application/x-ndjson"
	union     = "1' UNION SELECT password FROM users-- -"
)

// fileOf is a form of one file.
func fileOf(contentType, content string) string {
	return part(`name="note"`, "hello") +
		"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: " + contentType + "\r\n\r\n" + content + "\r\n--b--\r\n"
}

// Events name the place, and the rules of the set look at all of them.
func TestPlacesInBodies(t *testing.T) {
	const soap = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><m:charge xmlns:m="urn:shop">`
	tests := []struct{ name, contentType, body, location string }{
		{"a line", linesType, "{\"a\":1}\n\n{\"items\":[1,{\"name\":\"" + union + "\"}]}\n", "ARGS:json.1.items.1.name"},
		{"a record", "Content-Type: application/json-seq", "\x1e{\"a\":1}\n\x1e[\"" + union + "\"]\n", "ARGS:json.1.0"},
		{"a text of XML", xmlType, "<order><item>1</item><item><note>" + union + "</note></item></order>", "ARGS:xml.order.item.1.note"},
		{"an attribute of XML", xmlType, `<order id="` + union + `"/>`, "ARGS:xml.order.@id"},
		{"a text that a comment cuts up", xmlType, "<a>1' UNION<!-- --> SELECT password FROM users-- -</a>", "ARGS:xml.a"},
		{"SOAP", "Content-Type: application/soap+xml", soap + "<note>" + union + "</note></m:charge></s:Body></s:Envelope>", "ARGS:xml.Envelope.Body.charge.note"},
		{"XML-RPC", "Content-Type: text/xml", "<methodCall><methodName>a</methodName><params><param><value><string>" + union + "</string></value></param></params></methodCall>", "ARGS:xml.methodCall.params.param.value.string"},
		{"a file that is text", multi, fileOf("text/csv", union), "ARGS:f"},
		{"a file that says it is bytes", multi, fileOf("application/octet-stream", union), "ARGS:f"},
		{"a file of JSON", multi, fileOf("application/octet-stream", `{"a":["`+union+`"]}`), "ARGS:f.a.0"},
		{"a file of XML", multi, fileOf("application/xml", "<a><b>"+union+"</b></a>"), "ARGS:f.a.b"},
		{"a file that is a form", multi, fileOf("application/x-www-form-urlencoded", "a=1&b="+strings.ReplaceAll(union, " ", "+")), "ARGS:f.b"},
	}
	if len(tests) < 12 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, mesh(t), request("POST", "/", tt.contentType, "Content-Length: 1"), tt.body)
			if v.Outcome != flow.Blocked || v.Location != tt.location || !hasFamily(v, 942) {
				t.Fatalf("verdict %+v", v)
			}
			for _, m := range v.Matches {
				if m.Location != tt.location {
					t.Errorf("rule %d at %s", m.Rule, m.Location)
				}
			}
		})
	}
}

func TestBenignBodiesOfServicesAreClean(t *testing.T) {
	tests := []struct{ name, contentType, body string }{
		{"SOAP", "Content-Type: text/xml; charset=utf-8", `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Header><wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" soapenv:mustUnderstand="1"/></soapenv:Header>
 <soapenv:Body><charge xmlns="urn:shop:payments"><amount currency="EUR">12.50</amount><note xsi:type="xsd:string">Kaffee &amp; Kuchen, don't ring the bell</note></charge></soapenv:Body>
</soapenv:Envelope>`},
		{"XML-RPC", xmlType, `<?xml version="1.0"?><methodCall><methodName>system.listMethods</methodName><params><param><value><i4>41</i4></value></param></params></methodCall>`},
		{"a feed", "Content-Type: application/atom+xml", `<feed xmlns="http://www.w3.org/2005/Atom"><title>Orders</title><link href="https://shop.example/orders?page=2&amp;sort=desc" rel="next"/><entry><id>urn:uuid:60a76c80-d399-11d9-b93C-0003939e0af6</id><updated>2026-11-26T18:30:02Z</updated></entry></feed>`},
		{"lines of a bulk", linesType, "{\"index\":{\"_index\":\"orders\",\"_id\":\"1\"}}\n{\"name\":\"Espresso, double\",\"price\":12.5}\n"},
		{"lines of a log", linesType, `{"ts":"2026-11-26T10:00:00Z","level":"info","msg":"GET /v1/charges 200 in 3 ms","labels":{"app":"payments"}}` + "\n"},
		{"a file of text", multi, fileOf("text/plain", "Dear all,\n\nplease select the drinks from the list below; or call me.\nThanks -- Ann\n")},
		{"a file of commas", multi, fileOf("text/csv", "id;name;price\r\n1;Espresso;2.50\r\n2;\"Latte, large\";3.90\r\n")},
		{"a drawing", multi, fileOf("image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M12 2L2 7l10 5 10-5-10-5z" fill="#abc"/></svg>`)},
		{"a picture", multi, fileOf("image/png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01")},
		{"messages of Connect", "Content-Type: application/connect+json", "\x00\x00\x00\x10\x00[" + strings.Repeat("1,", 2047) + "1]"},
		{"a configuration", multi, fileOf("application/yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\ndata:\n  LOG_LEVEL: info\n")},
	}
	if len(tests) < 11 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, mesh(t), request("POST", "/v1/charges", tt.contentType, "Content-Length: 10"), tt.body)
			if v.Outcome != flow.Clean || v.Refuse {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

// What is broken before the end of a prefix is broken; what its end has cut is not.
func TestBrokenBodiesAreRefusedInPrefixesToo(t *testing.T) {
	whole := sharedInspector(t, "lax", config.InspectionSpec{Threshold: 1000, Body: config.InspectionBody{InspectBytes: 1 << 20}})
	cut := sharedInspector(t, "cut", config.InspectionSpec{Threshold: 1000, Body: config.InspectionBody{InspectBytes: 64}})
	rest := strings.Repeat("x", 200)
	tests := []struct {
		name, contentType, body string
		prefix                  bool
		rule                    int
	}{
		{"a line", linesType, "{\"a\":1}\n{\"a\":\n{\"a\":2}\n", false, 7100008},
		{"the last line", linesType, "{\"a\":1}\n{\"a\":", false, 7100008},
		{"a line that is too deep", linesType, strings.Repeat("[", 200) + strings.Repeat("]", 200), false, 7100008},
		{"a line of a prefix", linesType, "{\"a\":1}\n{\"a\":\n{\"a\":\"" + rest + "\"}", true, 7100011},
		{"the last line of a prefix", linesType, "{\"a\":1}\n{\"a\":\"" + rest + "\"}\n", true, 0},
		{"no sequence", "Content-Type: application/json-seq", `{"a":1}`, false, 7100008},
		{"no sequence, in a prefix", "Content-Type: application/json-seq", `{"a":"` + rest + `"}`, true, 7100011},
		{"an entity", xmlType, `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, false, 7100008},
		{"an entity in a prefix", xmlType, `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;` + rest + `</a>`, true, 7100011},
		{"XML in a prefix", xmlType, "<a>" + rest + "</a>", true, 0},
		{"XML that is too deep", xmlType, strings.Repeat("<a>", 200), false, 7100008},
		{"1,500 values in lines", linesType, strings.Repeat("[1,2,3]\n", 500), false, 7100006},
	}
	if len(tests) < 12 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := whole
			if tt.prefix {
				i = cut
			}
			v := judge(t, i, request("POST", "/", tt.contentType, "Content-Length: 1"), tt.body)
			if tt.rule == 0 {
				if v.Outcome != flow.Clean || v.Uninspected != flow.BodyOverCap {
					t.Errorf("verdict %+v", v)
				}
				return
			}
			if v.Outcome == flow.Clean || !v.Refuse || !hasRule(v, tt.rule) {
				t.Errorf("verdict %+v, want rule %d", v, tt.rule)
			}
		})
	}
}

// In the mesh profile the rules of the set look at values of XML as arguments only, which
// is as much as they did if each of them looks at arguments.
func TestRulesAboutXMLAreAboutArguments(t *testing.T) {
	files, err := fs.Glob(coreruleset.FS, "@owasp_crs/REQUEST-*.conf")
	if err != nil {
		t.Fatal(err)
	}
	set := seclang.New()
	for _, name := range files {
		if err := set.ReadFile(coreruleset.FS, name); err != nil {
			t.Fatal(err)
		}
	}
	about := func(variable string) func(seclang.Target) bool {
		return func(t seclang.Target) bool { return t.Variable == variable }
	}
	n := 0
	for _, r := range set.Rules {
		// Further links of a chain go on looking at the variable.
		if !slices.ContainsFunc(r.Targets, about("XML")) {
			continue
		}
		if n++; !slices.ContainsFunc(r.Targets, about("ARGS")) {
			t.Errorf("rule %d looks at XML and not at arguments", r.ID)
		}
	}
	if n < 170 {
		t.Errorf("only %d rules", n)
	}
}

// A policy can name places of XML in exclusions, and the variable XML in its rules.
func TestPoliciesNamePlacesOfXML(t *testing.T) {
	const body = "<order><item><note>" + union + "</note></item><item><note>" + union + "</note></item></order>"
	exclusions := func(parameter string) (all []config.Exclusion) {
		for _, rule := range judge(t, mesh(t), request("POST", "/", xmlType), body).Rules {
			all = append(all, config.Exclusion{Rule: rule, Parameter: parameter, Reason: "tested"})
		}
		return all
	}
	for parameter, want := range map[string]flow.Outcome{
		"xml.order.item.*.note": flow.Clean, "xml.order.item.note": flow.Blocked, "xml.order.item.1.note": flow.Blocked,
	} {
		i := build(t, config.InspectionSpec{Exclusions: exclusions(parameter)})
		if v := judge(t, i, request("POST", "/", xmlType, "Content-Length: 1"), body); v.Outcome != want {
			t.Errorf("without %s: %+v", parameter, v)
		}
	}
	i := build(t, config.InspectionSpec{Rules: `SecRule XML:/* "@streq debug" "id:1000,phase:2,deny"
SecRule XML://@* "@streq trace" "id:1001,phase:2,deny"`})
	for body, rule := range map[string]int{"<a><b>debug</b></a>": 1000, "<a b='trace'/>": 1001, "<a b='debug'>trace</a>": 0} {
		v := judge(t, i, request("POST", "/", xmlType, "Content-Length: 1"), body)
		if (rule > 0) != (v.Outcome == flow.Blocked) || rule > 0 && !hasRule(v, rule) {
			t.Errorf("%s: %+v", body, v)
		}
	}
}

// The fields of a part's header have one name in memory, see distinct.go.
func TestEveryHeaderOfAPartIsInspected(t *testing.T) {
	var body strings.Builder
	for _, name := range []string{"a", "b", "c"} {
		body.WriteString(part(`name="`+name+`"`, "1"))
	}
	body.WriteString("--b\r\nContent-Disposition: form-data; name=\"d\"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b--\r\n")
	for n := range 200 {
		if v := judge(t, mesh(t), request("POST", "/", multi, "Content-Length: 1"), body.String()); !hasRule(v, 922120) {
			t.Fatalf("run %d: verdict %+v", n, v)
		}
	}
}

func TestStarsInNamesOfPlaces(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"json.items.*.name", "json.items.3.name", true},
		{"json.items.*.name", "json.items.name", false},
		{"json.items.*.name", "json.items.x.name", false},
		{"json.items.*", "json.items", false},
		{"xml.order.item.*.note", "xml.order.item.3.note", true},
		{"xml.order.item.*.note", "XML.Order.item.note", true},
		{"xml.order.item.*.note", "xml.order.item.x.note", false},
		{"xml.order.item.*", "xml.order.item", true},
		{"xml.order.item", "xml.order.item.3", false},
		{"q", "q", true},
		{"q", "q.a", false},
		{"q.a", "q", false},
	} {
		if got := sameName(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%s and %s: %t", tt.pattern, tt.name, got)
		}
	}
}
