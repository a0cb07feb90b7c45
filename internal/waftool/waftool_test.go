package waftool

import (
	"strings"
	"testing"
)

func TestRequestsAreReadAsTheyAreWritten(t *testing.T) {
	for _, tt := range []struct {
		name, raw          string
		target, host, body string
	}{
		{"as over the wire", "POST /a?b=1 HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\nbody\r\n\r\nmore", "/a?b=1", "h", "body\r\n\r\nmore"},
		{"by hand", "POST /a HTTP/1.1\nHost: h\n\nbody", "/a", "h", "body"},
		{"lines of both kinds", "POST /a HTTP/1.1\r\nHost: h\n\nbody\r\n\r\n", "/a", "h", "body\r\n\r\n"},
		{"a target with spaces", "GET /a b HTTP/1.0\n\n", "/a b", "", ""},
		{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "/", "", "abcd"},
		{"no chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nabc", "/", "", "abc"},
		{"a head only", "GET / HTTP/1.1", "/", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, body, err := parse([]byte(tt.raw), "spiffe://x/a")
			if err != nil {
				t.Fatal(err)
			}
			if req.Target != tt.target || req.Host != tt.host || string(body) != tt.body || req.Conn.PeerID != "spiffe://x/a" {
				t.Errorf("target %q, host %q, body %q", req.Target, req.Host, body)
			}
		})
	}
	for _, raw := range []string{"", "GET", "GET /", "{}", "GET / HTTQ/1.1\n\n"} {
		if _, _, err := parse([]byte(raw), ""); err == nil {
			t.Errorf("%q is a request", raw)
		}
	}
}

// FuzzParse holds that whatever is read of a request stands in it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("POST /a?b=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\n\nx"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, body, err := parse(raw, "")
		if err != nil {
			return
		}
		text := string(raw)
		if !strings.Contains(text, req.Target) || !strings.HasPrefix(text, req.Method) || len(body) > len(raw) {
			t.Errorf("%q and %d bytes of %q", req.Target, len(body), raw)
		}
		req.Header.Each(func(name, value string) bool {
			if !strings.Contains(text, name) || !strings.Contains(text, value) {
				t.Errorf("%q: %q is not in %q", name, value, raw)
			}
			return true
		})
	})
}

func TestWhatPathsAndPlacesHaveInCommon(t *testing.T) {
	for in, want := range map[string]string{
		"/v1/charges":    "/v1/charges",
		"/v1/charges/42": "/v1/charges/{*}",
		"/v1/8f14e45f/x": "/v1/{*}/x",
		"/a/0b7c9a52-1d2e-4f00-8a00-000000000000": "/a/{*}",
		"/v1/deadbeef": "/v1/deadbeef",
		"/v1/{x}":      "",
		"/v1/a*":       "",
		"/":            "/",
	} {
		if got := template(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"ARGS:q":                 "q",
		"ARGS:json.items.3.name": "json.items.*.name",
		"ARGS_POST:a.7":          "a.*",
		"ARGS:7":                 "7",
		"ARGS":                   "",
		"REQUEST_COOKIES:a":      "REQUEST_COOKIES:a",
		"REQUEST_HEADERS:A":      "REQUEST_HEADERS:A",
		"REQUEST_URI":            "",
	} {
		if got, counts := parameterOf(in); got != want || !counts {
			t.Errorf("%q becomes %q, %t, want %q", in, got, counts, want)
		}
	}
	if _, counts := parameterOf("TX:1"); counts {
		t.Error("what a rule computes is a place")
	}
}

// FuzzEvents holds that a damaged log is read to its end, and that nothing is evidence
// but what is the record of a request in which something was detected.
func FuzzEvents(f *testing.F) {
	f.Add(`{"kind":"request","direction":"inbound","path":"/","waf":{"outcome":"detected","matches":[{"rule":1,"location":"ARGS:a"}]}}`, 3)
	f.Add(`{"kind":"connection"}`, 1)
	f.Add("\x00", 0)
	f.Fuzz(func(t *testing.T, line string, times int) {
		line = strings.ReplaceAll(line, "\n", " ")
		times &= 7
		seen := 0
		damaged, err := readEvents(strings.NewReader(strings.Repeat(line+"\n", times)), func(e *event) error {
			seen++
			if e.Kind != "request" || e.Direction == "outbound" || len(e.matches()) == 0 {
				t.Errorf("%+v is evidence", e)
			}
			return nil
		})
		if err != nil || seen != 0 && seen != times || damaged != 0 && damaged != times {
			t.Errorf("%d events and %d damaged lines of %d: %v", seen, damaged, times, err)
		}
	})
}
