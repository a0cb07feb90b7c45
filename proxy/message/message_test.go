package message

import (
	"strings"
	"testing"
)

// Every byte, and not a sample of them: the classes are what smuggling is about.
func TestClassesOfBytes(t *testing.T) {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	visible := ""
	for b := byte('!'); b <= '~'; b++ {
		visible += string(rune(b))
	}
	high := make([]byte, 0, 128)
	for b := 0x80; b <= 0xff; b++ {
		high = append(high, byte(b))
	}
	count := 0
	for _, c := range []struct {
		name  string
		class Class
		want  string
	}{
		{"token", Token, alphanumeric + "!#$%&'*+-.^_`|~"},
		{"value", Value, visible + " \t" + string(high)},
		{"target", Target, strings.ReplaceAll(visible, "#", "")},
		{"host", hostByte, alphanumeric + "-._~!$&'()*+,;="},
		{"address", addressByte, "0123456789abcdefABCDEF:."},
	} {
		for b := range 256 {
			count++
			if got, want := c.class.Has(byte(b)), strings.IndexByte(c.want, byte(b)) >= 0; got != want {
				t.Errorf("%s: %#02x is %v, want %v", c.name, b, got, want)
			}
			if All(string([]byte{'a', byte(b)}), c.class) != c.class.Has(byte(b)) {
				t.Errorf("%s: All and Has differ about %#02x", c.name, b)
			}
		}
	}
	if count < 5*256 {
		t.Errorf("%d cases", count)
	}
}

func TestKindsOfFields(t *testing.T) {
	count := 0
	for name, want := range map[string]Kind{
		"te": TE, "host": Host, "expect": Expect, "upgrade": Upgrade, "connection": Connection,
		"keep-alive": HopByHop, "traceparent": Traceparent, "content-length": ContentLength,
		"content_length": Confusing, "proxy-connection": HopByHop, "transfer-encoding": TransferEncoding,
		"transfer_encoding": Confusing, "proxy-authenticate": HopByHop, "proxy-authorization": HopByHop,
		"x-forwarded-client-cert": Reserved, "x_forwarded_client_cert": Reserved, "x-forwarded_client-cert": Reserved,
		"x-outrider-": Reserved, "x-outrider-peer": Reserved, "x_outrider_peer": Reserved,
		"x-outrider-decision": Decision, "x_outrider_decision": Reserved, "x-outrider-decision-": Reserved,
		"x-outrider": Plain, "x-forwarded-for": Plain, "accept": Plain, "a": Plain, "tf": Plain, "hosts": Plain,
		"connections": Plain, "keep_alive": Plain, "traceparenu": Plain, "content-lengtg": Plain, "": Plain,
		"proxy-authorizatiom": Plain, "proxy-authenticatf": Plain, "transfer-encodinh": Plain, "proxy_connection": Plain,
	} {
		for _, spelled := range []string{name, strings.ToUpper(name)} {
			count++
			if got := KindOf(spelled); got != want {
				t.Errorf("%q is %d, want %d", spelled, got, want)
			}
			if got := KindOf([]byte(spelled)); got != want {
				t.Errorf("the bytes of %q are %d, want %d", spelled, got, want)
			}
		}
	}
	if count < 70 {
		t.Errorf("%d cases, want at least 70", count)
	}
}

// The engines' tables have every refusal; here is what their callers rely upon.
func TestTargets(t *testing.T) {
	count := 0
	for _, c := range []struct {
		method, target string
		connect        bool
		want           string
	}{
		{"GET", "/", false, ""},
		{"GET", "/a%2Fb?%zz", false, ""},
		{"GET", "//", false, ""},
		{"OPTIONS", "*", false, ""},
		{"CONNECT", "a:1", true, ""},
		{"CONNECT", "[::1]:1", true, ""},
		{"GET", "", false, "byte"},
		{"GET", "/ ", false, "byte"},
		{"GET", "/#", false, "byte"},
		{"GET", "/\x80", false, "byte"},
		{"GET", "*", false, "OPTIONS"},
		{"GET", "a", false, "origin-form"},
		{"GET", "http://a/", false, "origin-form"},
		{"GET", "/%", false, "escape"},
		{"GET", "/%4", false, "escape"},
		{"GET", "/%4?1", false, "escape"},
		{"GET", "/%4g", false, "escape"},
		{"CONNECT", "a:1", false, "configured"},
		{"CONNECT", "/", true, "host:port"},
		{"CONNECT", "a", true, "host:port"},
		{"CONNECT", "a:", true, "host:port"},
		{"CONNECT", "[::1:1", true, "host:port"},
	} {
		count++
		for how, err := range map[string]*ProtocolError{
			"string": CheckTarget(c.method, c.target, c.connect),
			"bytes":  CheckTarget([]byte(c.method), []byte(c.target), c.connect),
		} {
			switch {
			case err == nil && c.want != "", err != nil && (c.want == "" || !strings.Contains(err.Rule, c.want)):
				t.Errorf("%s %q as %s: %v, want %q", c.method, c.target, how, err, c.want)
			}
		}
	}
	if count < 22 {
		t.Errorf("%d cases, want at least 22", count)
	}
}

func TestFieldLines(t *testing.T) {
	count := 0
	for lines, want := range map[string]bool{
		"":                       true,
		"a: b\r\n":               true,
		"a:\r\n":                 true,
		"a: b\r\nc:d \t\r\n":     true,
		"a: b":                   false,
		"a: b\n":                 false,
		"\r\n":                   false,
		"a: b\r\n\r\n":           false,
		"a: b\r\n c\r\n":         false,
		"a : b\r\n":              false,
		"a\r\n":                  false,
		": b\r\n":                false,
		"a: b\rc: d\r\n":         false,
		"a: \x00\r\n":            false,
		"a: b\r\nc: d\r\r\n":     false,
		"a/b: c\r\n":             false,
		"a: b\r\nHTTP/1.1 200\n": false,
	} {
		count++
		if got := AreFields([]byte(lines)); got != want {
			t.Errorf("%q: %v, want %v", lines, got, want)
		}
	}
	if count < 17 {
		t.Errorf("%d cases, want at least 17", count)
	}
	const line = "name: \t a b \t"
	if name, from, to, err := ScanField(line); err != nil || line[:name] != "name" || line[from:to] != "a b" {
		t.Errorf("%q is read as %q and %q, %v", line, line[:name], line[from:to], err)
	}
}

// FuzzFieldLines: what is taken for field lines is, put together again, the same
// lines but for white space, and holds nothing that another reader could take
// for a line's end.
func FuzzFieldLines(f *testing.F) {
	for _, seed := range []string{"a: b\r\n", "a:\tb \r\nc:\r\n", "a: b\r\n\r\n", "a : b\r\n", "\xff: a\r\n", "a: \xff\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !AreFields(b) {
			return
		}
		lines := 0
		for rest := b; len(rest) > 0; lines++ {
			line, next, ok := CutLine(rest)
			if !ok {
				t.Fatalf("%q is a line of fields and has no end", rest)
			}
			name, from, to, err := ScanField(line)
			if err != nil || name == 0 || !All(line[:name], Token) || line[name] != ':' {
				t.Fatalf("%q: name %q, %v", line, line[:name], err)
			}
			if value := string(line[from:to]); strings.ContainsAny(value, "\r\n\x00") || TrimOWS(value) != value {
				t.Fatalf("%q: value %q", line, value)
			}
			if len(TrimOWS(line[name+1:from])) > 0 || len(TrimOWS(line[to:])) > 0 {
				t.Fatalf("%q: more than white space is cut off", line)
			}
			rest = next
		}
		if lines != strings.Count(string(b), "\n") || lines != strings.Count(string(b), "\r") {
			t.Errorf("%q: %d lines", b, lines)
		}
	})
}

func TestEditsCannotSplitARequest(t *testing.T) {
	fields := func(lines ...string) Edits {
		var e Edits
		for _, line := range lines {
			e.Fields = append(e.Fields, []byte(line))
		}
		return e
	}
	for name, c := range map[string]struct {
		edits    Edits
		hostless bool
		want     bool
	}{
		"none":                         {Edits{}, false, true},
		"the path that was there":      {Edits{Path: "no path"}, false, true},
		"a path":                       {Edits{Path: "/a"}, false, true},
		"a path with CRLF":             {Edits{Path: "/a\r\n"}, false, false},
		"a path with a query":          {Edits{Path: "/a?b"}, false, false},
		"a path without a slash":       {Edits{Path: "a"}, false, false},
		"a field":                      {fields("a: b\r\n"), false, true},
		"a field without an end":       {fields("a: b"), false, false},
		"a field with a bare LF":       {fields("a: b\n"), false, false},
		"two fields in one":            {fields("a: b\r\nc: d\r\n"), false, false},
		"the second has no end":        {fields("a: b\r\n", "c: d"), false, false},
		"an empty line":                {fields("\r\n"), false, false},
		"a host that is not used":      {Edits{DefaultHost: "a\r\n"}, false, true},
		"a host that splits":           {Edits{DefaultHost: "a\r\n"}, true, false},
		"a host for one that has none": {Edits{DefaultHost: "a:1"}, true, true},
	} {
		if got := c.edits.WellFormed("no path", c.hostless); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLengths(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "00": 0, "5": 5, "999999999999999999": 999999999999999999,
		"": -1, "-0": -1, "+5": -1, "5,5": -1, "0x5": -1, " 5": -1, "1000000000000000000": -1, "\xd9\xa5": -1,
	} {
		if n, ok := ParseLength(s); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v, want %d", s, n, ok, want)
		}
	}
}

func TestWhoFailed(t *testing.T) {
	f := &Failure{Side: UpstreamSide, Err: Violation("no status")}
	if f.Error() != "upstream: no status" || f.Unwrap() == nil {
		t.Errorf("%v", f)
	}
	f.Side = ClientSide
	if f.Error() != "client: no status" {
		t.Errorf("%v", f)
	}
}
