package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// ungated judges as the engine does without the gate.
func ungated(t *testing.T, i *Inspector, s sample) flow.Inspection {
	t.Helper()
	e := rulesOf(i.engines[0])
	if e == nil {
		t.Fatal("another engine")
	}
	g := e.gate
	defer func() { e.gate = g }()
	e.gate = nil
	return judge(t, i, s.req, s.body)
}

// essence leaves out of a verdict where a rule matched first, which is the engine's
// choice among equals and differs from run to run.
func essence(v flow.Inspection) string {
	slices.Sort(v.Rules)
	return fmt.Sprint(v.Outcome, v.Uninspected, v.Refuse, v.Score, v.Rules, v.Bytes, v.Err)
}

// A policy's own rules, exclusions and settings are the gate's as well.
func TestGateKnowsThePolicy(t *testing.T) {
	requests := []sample{
		newSample("plain", "GET", "/v1/charges?debug=on&q=x", "HTTP/1.1", request("GET", "/").Header.(header), ""),
		newSample("sql", "GET", "/search?q=1%27%20OR%201=1--%20-", "HTTP/1.1", request("GET", "/").Header.(header), ""),
		newSample("sql elsewhere", "GET", "/other?q=1%27%20OR%201=1--%20-", "HTTP/1.1", request("GET", "/").Header.(header), ""),
		newSample("sql in another", "GET", "/search?p=1%27%20OR%201=1--%20-", "HTTP/1.1", request("GET", "/").Header.(header), ""),
		newSample("field", "GET", "/x", "HTTP/1.1", withBody(request("GET", "/").Header.(header), "text/plain", ""), ""),
		newSample("json", "POST", "/v1/charges", "HTTP/1.1", withBody(request("GET", "/").Header.(header), "application/json", `{"a":[1,"<b>"],"long":"`+strings.Repeat("x", 300)+`"}`), `{"a":[1,"<b>"],"long":"`+strings.Repeat("x", 300)+`"}`),
		newSample("form", "POST", "/v1/charges", "HTTP/1.1", withBody(request("GET", "/").Header.(header), "application/x-www-form-urlencoded", "debug=on&a=%3Cb%3E"), "debug=on&a=%3Cb%3E"),
	}
	post := func(name, contentType, body string) sample {
		return newSample(name, "POST", "/v1/charges", "HTTP/1.1", withBody(request("GET", "/").Header.(header), contentType, body), body)
	}
	const form = "multipart/form-data; boundary=b"
	requests = append(requests,
		post("XML", "application/xml", `<a b="debug">on<c>4</c></a>`),
		post("a file", form, fileOf("text/plain", "one line")),
		post("fields of a form", form, part(`name="a"`, "1")+part(`name="b"`, "23")+"--b--\r\n"),
		post("a file of a charset", form, fileOf("text/plain; charset=utf-7", "one line")),
		post("a charset of all", form, part(`name="_charset_"`, "utf-7")+"--b--\r\n"),
		post("a file without a name", form, part(`name="f"; filename=""`, `{"a":1}`)+"--b--\r\n"),
		post("an extended name", form, part(`name="f"; filename*=utf-8''a.txt`, "1")+"--b--\r\n"),
		post("an extended name of a charset", form, part(`name="f"; filename*=iso-8859-1''a.php`, "1")+"--b--\r\n"),
		post("a quoted part", form, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3Cscript=3Ealert(1)\r\n--b--\r\n"),
		post("a coded part", form, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b--\r\n"),
		post("a repeated header", form, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\n1\r\n--b--\r\n"),
		post("a name twice", form, "--b\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--b--\r\n"),
		post("a form without an end", form, part(`name="a"`, "1")),
		post("a broken line", "application/x-ndjson", "{\"a\":[1,2]}\n{\"b\n{}\n"),
		post("broken GraphQL", "application/graphql", "query {a"),
		post("an entity", "application/xml", `<!DOCTYPE a [<!ENTITY b "c">]><a/>`),
		post("lines", "application/x-ndjson", "{\"a\":[1,2]}\n{\"debug\":\"on\"}\n"),
	)
	excluded := config.Exclusion{Rule: 942100, Parameter: "q", Path: "/search", Reason: "tested"}
	specs := map[string]config.InspectionSpec{
		"an exclusion":          {Exclusions: []config.Exclusion{excluded}},
		"a whole rule":          {Exclusions: []config.Exclusion{{Rule: 942100, Path: "/search", Reason: "tested"}}},
		"a rule on arguments":   {Rules: `SecRule ARGS:debug "@streq on" "id:1000,phase:2,deny"`},
		"a negated rule":        {Rules: `SecRule ARGS:q "!@rx ^[0-9]+$" "id:1000,phase:2,deny"`},
		"a rule on JSON":        {Rules: `SecRule ARGS_NAMES "@beginsWith json.a." "id:1000,phase:2,block,setvar:'tx.inbound_anomaly_score_pl1=+5'"`},
		"an array's length":     {Rules: `SecRule ARGS:json.a "@eq 2" "id:1000,phase:2,deny"`},
		"a length":              {Rules: `SecRule ARGS "@gt 200" "id:1000,phase:2,deny,t:none,t:length"`},
		"a rule on all":         {Rules: `SecAction "id:1000,phase:2,deny"`},
		"a number of fields":    {Rules: `SecRule &REQUEST_HEADERS:Content-Type "@eq 1" "id:1000,phase:1,deny"`},
		"a number of values":    {Rules: `SecRule &ARGS "@gt 1" "id:1000,phase:2,deny"`},
		"a variable":            {Rules: "SecRule REQUEST_URI \"@beginsWith /v1\" \"id:1000,phase:1,pass,nolog,setvar:tx.mine=1\"\nSecRule TX:mine \"@eq 1\" \"id:1001,phase:2,deny\""},
		"variables by pattern":  {Rules: "SecAction \"id:1000,phase:1,pass,nolog,setvar:tx.mine_a=1\"\nSecRule TX:/^mine_/ \"@eq 1\" \"id:1001,phase:1,deny,chain\"\nSecRule REQUEST_METHOD \"@streq POST\" \"t:none\"\nSecAction \"id:1002,phase:1,pass,nolog,setvar:tx.mine_a=2\""},
		"counted by pattern":    {Rules: "SecRule REQUEST_METHOD \"@streq POST\" \"id:1000,phase:1,pass,nolog,setvar:tx.mine_a=1\"\nSecRule &TX:/^mine_/ \"@eq 1\" \"id:1001,phase:1,deny\""},
		"a chain":               {Rules: "SecRule REQUEST_METHOD \"@streq POST\" \"id:1000,phase:2,deny,chain\"\nSecRule ARGS \"@contains <b\" \"t:none\""},
		"a captured group":      {Rules: "SecRule REQUEST_HEADERS:User-Agent \"@rx ^(\\w+)/\" \"id:1000,phase:1,deny,capture,chain\"\nSecRule TX:1 \"@streq checkout\" \"t:none\""},
		"skipping":              {Rules: "SecRule REQUEST_METHOD \"@streq GET\" \"id:1000,phase:2,pass,nolog,skipAfter:MINE\"\nSecRule ARGS \"@contains <\" \"id:1001,phase:2,deny,t:none,t:urlDecodeUni\"\nSecMarker MINE"},
		"a removed rule":        {Rules: "SecRuleRemoveById 942100"},
		"a changed target":      {Rules: `SecRuleUpdateTargetById 942100 "!ARGS:q"`},
		"removal by path":       {Rules: `SecRule REQUEST_FILENAME "@streq /search" "id:1000,phase:1,pass,nolog,ctl:ruleRemoveById=942100"`},
		"removal by tag":        {Rules: `SecRule REQUEST_FILENAME "@streq /search" "id:1000,phase:1,pass,nolog,ctl:ruleRemoveByTag=attack-sqli"`},
		"removal of a target":   {Rules: `SecRule REQUEST_FILENAME "@streq /search" "id:1000,phase:1,pass,nolog,ctl:ruleRemoveTargetById=942100;ARGS:q"`},
		"files":                 {Rules: `SecRule FILES "@endsWith .txt" "id:1000,phase:2,deny"`},
		"a number of files":     {Rules: `SecRule &FILES "@gt 0" "id:1000,phase:2,deny"`},
		"no files":              {Rules: `SecRule &FILES "@eq 0" "id:1000,phase:2,deny"`},
		"files of a key":        {Rules: `SecRule &FILES:x "@eq 0" "id:1000,phase:2,deny"`},
		"names of files":        {Rules: `SecRule FILES_NAMES "@streq f" "id:1000,phase:2,deny"`},
		"the size of all":       {Rules: `SecRule FILES_COMBINED_SIZE "@gt 3" "id:1000,phase:2,deny"`},
		"the size of a file":    {Rules: `SecRule FILES_SIZES "@eq 8" "id:1000,phase:2,deny"`},
		"the size of one file":  {Rules: `SecRule FILES_SIZES:a.txt "@eq 8" "id:1000,phase:2,deny"`},
		"sizes as set up":       {Rules: `SecAction "id:1000,phase:1,pass,nolog,setvar:tx.combined_file_sizes=4"`},
		"headers of parts":      {Rules: `SecRule MULTIPART_PART_HEADERS:f "@contains text/plain" "id:1000,phase:2,deny"`},
		"a number of headers":   {Rules: `SecRule &MULTIPART_PART_HEADERS:f "@eq 2" "id:1000,phase:2,deny"`},
		"a chain on headers":    {Rules: "SecRule REQUEST_METHOD \"@streq POST\" \"id:1000,phase:2,deny,chain\"\nSecRule MULTIPART_PART_HEADERS \"@contains text/plain\" \"t:none\""},
		"names of parts":        {Rules: `SecRule MULTIPART_NAME "@streq f" "id:1000,phase:2,deny"`},
		"files of parts":        {Rules: `SecRule MULTIPART_FILENAME:f "@rx txt$" "id:1000,phase:2,deny"`},
		"texts of XML":          {Rules: `SecRule XML:/* "@streq on" "id:1000,phase:2,deny"`},
		"attributes of XML":     {Rules: `SecRule XML://@* "@streq debug" "id:1000,phase:2,deny"`},
		"all of XML":            {Rules: `SecRule REQUEST_XML "@rx ^(?:on|debug)$" "id:1000,phase:2,deny"`},
		"a number of XML":       {Rules: `SecRule &XML "@eq 3" "id:1000,phase:2,deny"`},
		"a place in XML":        {Rules: `SecRule ARGS:xml.a.c "@eq 4" "id:1000,phase:2,deny"`},
		"coded parts":           {Rules: "SecRuleRemoveById 922120"},
		"the content of a file": {Rules: `SecRule ARGS:f "@streq one line" "id:1000,phase:2,deny"`},
		"a place in lines":      {Rules: `SecRule ARGS:json.1.debug "@streq on" "id:1000,phase:2,deny"`},
		"XML, stock":            {Profile: config.ProfileCRS, Rules: `SecRule XML:/* "@streq on" "id:1000,phase:2,deny"`},
		"no body":               {Rules: `SecRule REQUEST_BODY_LENGTH "@eq 0" "id:1000,phase:2,deny"`},
		"a long body":           {Rules: `SecRule REQUEST_BODY_LENGTH "@gt 30" "id:1000,phase:2,deny"`},
		"sums":                  {Rules: "SecRule REQUEST_HEADERS_NAMES \"@rx .\" \"id:1000,phase:1,pass,nolog,setvar:tx.n=+2,setvar:tx.m=-1\"\nSecRule TX:n \"@gt 9\" \"id:1001,phase:2,deny\"\nSecRule TX:m \"@eq -4\" \"id:1002,phase:2,deny\""},
		"what nobody knows":     {Rules: `SecRule REQUEST_HEADERS:Accept "@strmatch application" "id:1000,phase:1,deny"`},
		"allowing":              {Rules: `SecRule REQUEST_FILENAME "@streq /search" "id:1000,phase:1,allow,nolog"`},
		"a higher threshold":    {Threshold: 20},
		"watching only":         {Mode: config.DetectOnly},
		"the stock profile":     {Profile: config.ProfileCRS},
		"a short prefix":        {Body: config.InspectionBody{InspectBytes: 8}},
		"nothing of a body":     {Body: config.InspectionBody{InspectBytes: 8, Overflow: config.OverflowPass}},
		"denied when too long":  {Body: config.InspectionBody{InspectBytes: 8, Overflow: config.OverflowDeny}},
	}
	compared := 0
	for name, spec := range specs {
		i := build(t, spec)
		for _, s := range requests {
			compared++
			got, want := essence(judge(t, i, s.req, s.body)), essence(ungated(t, i, s))
			if got != want {
				t.Errorf("%s, %s: %s, without the gate %s", name, s.name, got, want)
			}
		}
	}
	if compared < 1320 {
		t.Errorf("only %d verdicts", compared)
	}
}

// Exclusions let a value through without the engine, and only where they apply.
func TestGateAppliesExclusions(t *testing.T) {
	spec := config.InspectionSpec{Exclusions: []config.Exclusion{{Rule: 921130, Parameter: "q", Path: "/search", Reason: "tested"}}}
	e := rulesOf(build(t, spec).engines[0])
	if e == nil || e.gate == nil {
		t.Fatalf("there is no gate: %v", e.gateErr)
	}
	for target, want := range map[string]bool{
		"/search?q=http/1": true, "/search?p=http/1": false, "/other?q=http/1": false, "/search?q=1": true,
	} {
		req := request("GET", target)
		if got := e.clean(req, input{now: testNow}); got != want {
			f, err := e.evaluate(req, input{now: testNow, checkpoint: func() error { return nil }})
			t.Errorf("%s: proved %t; the engine says %+v, %v", target, got, f, err)
		}
	}
}

// A rule that the gate does not understand leaves all requests to the engine.
func TestWhatIsNotUnderstoodGoesToTheEngine(t *testing.T) {
	spec := config.InspectionSpec{Rules: `SecRule REQUEST_HEADERS:Accept "@strmatch application" "id:1000,phase:1,deny"`}
	i := build(t, spec)
	e := rulesOf(i.engines[0])
	if e == nil || e.gate != nil || e.gateErr == nil || !strings.Contains(e.gateErr.Error(), "1000") {
		t.Fatalf("gate %v, error %v", e.gate, e.gateErr)
	}
	if v := judge(t, i, request("GET", "/"), ""); v.Outcome != flow.Blocked || !slices.Contains(v.Rules, 1000) {
		t.Errorf("verdict %+v", v)
	}
	if u := i.Unproved(); len(u) != 1 || u[0].Policy != "shop/waf" || u[0].Reason == nil || i.Policies() != 1 {
		t.Errorf("of %d policies %+v are listed", i.Policies(), u)
	}
	if m := mesh(t); len(m.Unproved()) != 0 || m.Policies() != 1 {
		t.Errorf("of %d policies without such a rule %+v are listed", m.Policies(), m.Unproved())
	}
}

func TestProofsHardlyAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector's own allocations count")
	}
	i := sharedInspector(t, "large", config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 128 << 10}})
	e := rulesOf(i.engines[0])
	if e == nil {
		t.Fatal("another engine")
	}
	most := map[string]float64{
		"GET": 12, "GET 3 arguments": 16, "form 200 B": 80, "JSON 1 KiB": 60, "JSON 10 KiB": 60,
		"XML 1 KiB": 500, "multipart 1 KiB": 200, "gRPC-Web 1 KiB": 60, "lines of JSON 10 KiB": 60, "GraphQL": 80,
	}
	for _, s := range benchmarks() {
		limit, ok := most[s.name]
		if !ok {
			continue
		}
		in := input{body: []byte(s.body)}
		if !e.clean(s.req, in) {
			t.Errorf("%s: not proved", s.name)
		}
		if n := testing.AllocsPerRun(50, func() { e.clean(s.req, in) }); n > limit {
			t.Errorf("%s: %v allocations, more than %v", s.name, n, limit)
		}
	}
}

// Many at once, of which some make the plans and states that others use.
func TestProofsAreIndependent(t *testing.T) {
	e := rulesOf(build(t, config.InspectionSpec{}).engines[0])
	if e == nil {
		t.Fatal("another engine")
	}
	done := make(chan string, 4)
	for worker := range 4 {
		go func() {
			for n := range 50 {
				target, want := fmt.Sprintf("/v1/items/%d?name=a%%20b;%d&x=%s", worker, n, strings.Repeat("é'", n%5)), true
				if n%3 == 0 {
					target, want = "/search?q=1%27%20OR%201=1--%20-", false
				}
				if got := e.clean(request("GET", target), input{}); got != want {
					done <- target
					return
				}
			}
			done <- ""
		}()
	}
	for range 4 {
		if target := <-done; target != "" {
			t.Errorf("%s was judged otherwise", target)
		}
	}
}
