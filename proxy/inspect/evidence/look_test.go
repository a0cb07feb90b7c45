package evidence_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// header is a flow.Header for tests.
type header = flow.Fields

// script is an attack without a character that any of the parts would have to escape.
const script = "top[/al/.source+/ert/.source](1)"

func TestEveryPartOfARequestIsLookedAt(t *testing.T) {
	const (
		json  = "application/json"
		form  = "application/x-www-form-urlencoded"
		xml   = "application/xml"
		parts = "multipart/form-data; boundary=x"
	)
	cases := []struct {
		name, target string
		fields       header
		body, kind   string
		location     string
	}{
		{"the path", "/a/" + script, nil, "", "", "REQUEST_FILENAME"},
		{"a segment of the path", "/a/7%27%3bselect%201/b", nil, "", "", "REQUEST_FILENAME"},
		{"a segment that begins with a statement", "/a/or%207%3d7/b", nil, "", "", "REQUEST_FILENAME"},
		{"a parameter in the path", "/a/%3Bcat%20%2Fetc%2Fhosts", nil, "", "", "REQUEST_FILENAME"},
		{"names that lead to the prototype", "/", nil, `{"constructor":{"prototype":{"a":true}}}`, json, "ARGS_NAMES:json.constructor.prototype"},
		{"an operator in a parameter", `/?q={"$gt":""}`, nil, "", "", "ARGS"},
		{"a parameter", "/?a=1&b=" + strings.ReplaceAll(script, "+", "%2b"), nil, "", "", "ARGS:b"},
		{"a parameter without a value", "/?" + strings.ReplaceAll(script, "+", "%2b"), nil, "", "", "ARGS_NAMES"},
		{"a header field", "/", header{{"X-Note", script}}, "", "", "REQUEST_HEADERS:X-Note"},
		{"a field of types", "/", header{{"Accept-Language", "${jndi:ldap://x}"}}, "", "", "REQUEST_HEADERS:Accept-Language"},
		{"a cookie", "/", header{{"Cookie", "a=1; b=" + strings.ReplaceAll(script, "+", "%2b")}}, "", "", "REQUEST_COOKIES:b"},
		{"a document", "/", nil, `{"a":{"b":[1,"` + script + `"]}}`, json, "ARGS:json.a.b.1"},
		{"a text with escapes", "/", nil, `{"a":"\u0074op[/al/.source+/ert/.source](1)"}`, json, "ARGS:json.a"},
		{"a document in a parameter", "/?q=" + `{"a":"` + strings.ReplaceAll(script, "+", "%2b") + `"}`, nil, "", "", "ARGS:q.a"},
		{"a document of another type", "/", nil, `{"a":"` + script + `"}`, "text/plain", "ARGS:json.a"},
		{"several documents", "/", nil, "{\"a\":1}\n{\"a\":\"" + script + "\"}\n", "application/x-ndjson", "ARGS:json.1.a"},
		{"documents in a sequence", "/", nil, "\x1e{\"a\":1}\n\x1e{\"a\":\"" + script + "\"}\n", "application/json-seq", "ARGS:json.1.a"},
		{"several documents of another type", "/", nil, "{\"a\":1}\n{\"a\":\"" + script + "\"}\n", json, "ARGS:json.a"},
		{"a document that is cut off", "/", nil, `{"a":"` + script + `","b":"c`, json, "ARGS:json.a"},
		{"a document that is none", "/", nil, `{"a":` + script + `}`, json, "ARGS:body"},
		{"a form", "/", nil, "a=1&b=" + strings.ReplaceAll(script, "+", "%2b"), form, "ARGS:b"},
		{"a form without a type", "/", nil, "b=" + strings.ReplaceAll(script, "+", "%2b"), "", "ARGS:b"},
		{"a part of a form", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + script + "\r\n--x--\r\n", parts, "ARGS:a"},
		{"the name of a file", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../../etc/passwd\"\r\n\r\n1\r\n--x--\r\n", parts, "FILES:f"},
		{"a file", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n<?php system($_GET[1]);\r\n--x--\r\n", parts, "ARGS:f"},
		{"a file of XML", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.xml\"\r\n\r\n<?xml version=\"1.0\"?><a><b>" + script + "</b></a>\r\n--x--\r\n", parts, "ARGS:f.a.b"},
		{"a file that says it is XML", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\ncontent-type: application/xml\r\n\r\n<a b='" + script + "'/>\r\n--x--\r\n", parts, "ARGS:f.a.@b"},
		{"an object that is a file", "/", nil, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n\xac\xed\x00\x05sr\x00\x11java.util.HashSet\r\n--x--\r\n", parts, "ARGS:f"},
		{"a text of XML", "/", nil, "<a><b>" + script + "</b></a>", xml, "ARGS:xml.a.b"},
		{"an attribute of XML", "/", nil, `<a b="` + script + `"/>`, xml, "ARGS:xml.a.@b"},
		{"a section of XML", "/", nil, "<a><![CDATA[" + script + "]]></a>", xml, "ARGS:xml.a"},
		{"a declaration of XML", "/", nil, `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///c">]><a/>`, xml, "REQUEST_XML"},
		{"a text", "/", nil, script, "text/plain", "ARGS:body"},
		{"a run of text in bytes", "/", nil, "\x00\x01\x02" + script + "\x00\xff", "application/octet-stream", "ARGS:body"},
		{"a name that is no name", "/", nil, `{"<svg onload=alert(1)>":1}`, json, "ARGS_NAMES"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := &flow.Request{Target: c.target, Header: c.fields}
			found := evidence.Look(req, evidence.Body{Text: []byte(c.body), Type: c.kind})
			if evidence.Judge(nil, found).Score < clue.Strong {
				t.Fatalf("found %v", found)
			}
			if !slices.ContainsFunc(found, func(f evidence.Finding) bool { return f.Location == c.location }) {
				t.Errorf("found %v, none at %s", found, c.location)
			}
		})
	}
	if len(cases) < 33 {
		t.Errorf("only %d cases", len(cases))
	}
}

func TestFieldsOfMessagesAreLookedAt(t *testing.T) {
	req := &flow.Request{Target: "/", Header: header{}}
	found := evidence.Look(req, evidence.Body{Text: []byte("x"), Fields: func(yield func(name, value string)) { yield("body.1", script) }})
	if len(found) == 0 || found[0].Location != "ARGS:body.1" {
		t.Errorf("found %v", found)
	}
}

// A name may be the payload, and then it does not stand in a log.
func TestLocationsHoldNoPayload(t *testing.T) {
	req := &flow.Request{Target: "/?" + strings.ReplaceAll(script, "+", "%2b") + "=" + strings.ReplaceAll(script, "+", "%2b"), Header: header{}}
	for _, f := range evidence.Look(req, evidence.Body{}) {
		if strings.ContainsAny(f.Location, "(/+") {
			t.Errorf("location %q", f.Location)
		}
	}
}

// What an operator of a document database is worth depends on its operand.
func TestOperandsCount(t *testing.T) {
	cases := []struct {
		member string
		want   int
	}{
		{`"$gt":2010`, 2},
		{`"$in":["a","b"]`, 2},
		{`"$regex":"^order-2026"`, 2},
		{`"$exists":true`, 2},
		{`"$set":1`, 0},
		{`"$ref":"#/definitions/a"`, 0},
		{`"$filter":"a eq 1"`, 0},
		{`"$ne":null`, 3},
		{`"$ne":""`, 3},
		{`"$gt":""`, 3},
		{`"$gt" : ""`, 3},
		{`"$regex":".*"`, 3},
		{`"$regex":"^a"`, 3},
		{`"$nin":[]`, 3},
		{`"$or":[{},{"a":1}]`, 3},
	}
	for _, c := range cases {
		body := evidence.Body{Text: []byte(`{"a":{` + c.member + `}}`), Type: "application/json"}
		if got := evidence.Judge(nil, evidence.Look(&flow.Request{Target: "/", Header: header{}}, body)).Score; got != c.want {
			t.Errorf("%s: %d, want %d", c.member, got, c.want)
		}
	}
	if len(cases) < 15 {
		t.Errorf("only %d cases", len(cases))
	}
}
