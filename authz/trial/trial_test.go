package trial_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
	"github.com/outrider-mesh/outrider/authz/trial"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func subject(t *testing.T) trial.Subject {
	t.Helper()
	return trial.Subject{Strict: true, Set: authztest.Set(t,
		authztest.Allow("callers",
			authz.Rule{From: []authz.From{{Principals: []string{authztest.Account("shop", "checkout")}}}, To: []authz.To{{Ports: []int{8080}, Methods: []string{"GET"}, Paths: []string{"/a", "/b"}}}},
			authz.Rule{From: []authz.From{{IPBlocks: []string{"10.0.0.0/8"}}}, When: []authz.Condition{{Header: "X-Tenant", Values: []string{"eu"}}}},
			authz.Rule{To: []authz.To{{Ports: []int{5432}}}},
			authz.Rule{When: []authz.Condition{{Connection: authz.Listener, Values: []string{"partners"}}}}),
		authztest.Deny("never", authz.Rule{To: []authz.To{{Ports: []int{8080}, Paths: []string{"/b"}}}}))}
}

// checkout is a call by it with some fields changed.
func checkout(change func(*trial.Call)) trial.Call {
	c := trial.Call{From: authztest.Account("shop", "checkout"), To: 8080, Path: "/a"}
	change(&c)
	return c
}

func TestTry(t *testing.T) {
	cases := []struct {
		name string
		call trial.Call
		want string
	}{
		{"allowed", checkout(func(*trial.Call) {}), "allow by callers rule 0"},
		{"a path to be normalised", checkout(func(c *trial.Call) { c.Path = "//x/../a" }), "allow by callers rule 0"},
		{"another method", checkout(func(c *trial.Call) { c.Method = "PUT" }), "deny (no_allow_matched)"},
		{"a Deny", checkout(func(c *trial.Call) { c.Path = "/b" }), "deny by never rule 0"},
		{"plaintext where mutual TLS is needed", checkout(func(c *trial.Call) { c.From = trial.Plaintext }), "deny (plaintext_refused)"},
		{"a path that is refused", checkout(func(c *trial.Call) { c.Path = "/a%2fb" }), "deny (bad_request)"},
		{"a header and an address", checkout(func(c *trial.Call) {
			c.From, c.Source, c.Headers = authztest.Account("shop", "x"), "::ffff:10.1.1.1", map[string]string{"x-tenant": "eu"}
		}), "allow by callers rule 1"},
		{"no address", checkout(func(c *trial.Call) {
			c.From, c.Headers = authztest.Account("shop", "x"), map[string]string{"x-tenant": "eu"}
		}), "deny (no_allow_matched)"},
		{"bytes", checkout(func(c *trial.Call) { c.Path, c.To = "", 5432 }), "allow by callers rule 2"},
		{"bytes where HTTP is wanted", checkout(func(c *trial.Call) { c.Path = "" }), "deny by never rule 0"},
		{"a listener", checkout(func(c *trial.Call) { c.To, c.Listener = 9, "partners" }), "allow by callers rule 3"},
		{"OPTIONS *", checkout(func(c *trial.Call) { c.Path, c.Method = "*", "OPTIONS" }), "deny (no_allow_matched)"},
	}
	if len(cases) < 12 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o, problems := subject(t).Try(&c.call)
		if got := o.String(); got != c.want || len(problems) > 0 {
			t.Errorf("%s: %s %v, want %s", c.name, got, problems, c.want)
		}
		if o.Why == "" {
			t.Errorf("%s: no reason", c.name)
		}
	}
	s := subject(t)
	s.Strict = false
	open := checkout(func(c *trial.Call) { c.From, c.To, c.Path = trial.Plaintext, 5432, "" })
	if o, _ := s.Try(&open); !o.Allowed {
		t.Errorf("plaintext where it is taken: %s", o.String())
	}
}

func TestCallsThatMakeNoSense(t *testing.T) {
	cases := []struct {
		call trial.Call
		want string
	}{
		{checkout(func(c *trial.Call) { c.From = "" }), "from: is missing; write a SPIFFE ID, or plaintext"},
		{checkout(func(c *trial.Call) { c.From = "checkout" }), `from: "checkout" is no SPIFFE ID: scheme is missing or invalid; write spiffe://TRUST-DOMAIN/PATH, or plaintext`},
		{checkout(func(c *trial.Call) { c.Source = "here" }), `source: "here" is no IP address; write one such as 10.1.2.3`},
		{checkout(func(c *trial.Call) { c.To = 0 }), `to: "0" is no port; write the workload's port, 1 to 65535`},
		{checkout(func(c *trial.Call) { c.To = 65536 + 8080 }), `to: "73616" is no port; write the workload's port, 1 to 65535`},
		{checkout(func(c *trial.Call) { c.Path, c.Method = "", "GET" }), "path: is missing, and there are other parts of an HTTP request; write the path, or remove method, host and headers"},
		{checkout(func(c *trial.Call) { c.Path = "a" }), `path: "a" does not begin with a slash; write the path from its root`},
		{checkout(func(c *trial.Call) { c.Path = "/a?b" }), `path: "/a?b" has a query or a fragment, which policies don't see; write the path alone`},
		{checkout(func(c *trial.Call) { c.Method = "G T" }), `method: "G T" is no method; write one such as GET`},
		{checkout(func(c *trial.Call) { c.Headers = map[string]string{"a b": ""} }), `headers: "a b" is no header's name; write one such as x-tenant`},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o, problems := subject(t).Try(&c.call)
		if len(problems) != 1 || problems[0].String() != c.want || o.Allowed {
			t.Errorf("%v, want %s", problems, c.want)
		}
	}
}

func report(t *testing.T) *trial.Report {
	t.Helper()
	zero, one := 0, 1
	r := &trial.Report{Name: "payments", Idle: []string{"callers rule 2"}}
	for i, c := range []trial.Case{
		{Name: "checkout reads", Call: checkout(func(*trial.Call) {}), Expect: trial.Allow},
		{Name: "by the first rule", Call: checkout(func(*trial.Call) {}), Expect: trial.Allow, Policy: "callers", Rule: &zero},
		{Name: "nobody writes", Call: checkout(func(c *trial.Call) { c.Method = "PUT" }), Expect: trial.Deny},
		{Name: "wrong verdict", Call: checkout(func(c *trial.Call) { c.Method = "PUT" }), Expect: trial.Allow},
		{Name: "wrong policy # not TODO", Call: checkout(func(c *trial.Call) { c.Path = "/b" }), Expect: trial.Deny, Policy: "other"},
		{Name: "wrong rule <&>", Call: checkout(func(*trial.Call) {}), Expect: trial.Allow, Policy: "callers", Rule: &one},
	} {
		result, problems := subject(t).Run(&c, "cases.yaml:"+string(rune('1'+i)))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r.Results = append(r.Results, result)
	}
	return r
}

func TestReports(t *testing.T) {
	r := report(t)
	if got := r.Failures(); got != 3 {
		t.Errorf("%d failures", got)
	}
	decided := r.Decided()
	if !decided["callers rule 0"] || !decided["never rule 0"] || len(decided) != 2 {
		t.Errorf("%v", decided)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.txt": func(b *bytes.Buffer) error { return r.Text(b) },
		"report.tap": func(b *bytes.Buffer) error { return trial.TAP(b, []*trial.Report{r, {Name: "empty"}}) },
		"report.xml": func(b *bytes.Buffer) error { return trial.JUnit(b, []*trial.Report{r, {Name: "empty"}}) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestCasesThatMakeNoSense(t *testing.T) {
	one := 1
	c := trial.Case{Call: checkout(func(*trial.Call) {}), Rule: &one}
	r, problems := subject(t).Run(&c, "x")
	if len(problems) != 3 || !r.Failed {
		t.Errorf("%v, failed %t", problems, r.Failed)
	}
}

// No name of a case can pass for a result of another, or for a directive.
func FuzzReports(f *testing.F) {
	f.Add("a # TODO later", "why")
	f.Add("x\nok 2 - y", "\n  ...\nok 3")
	f.Add("]]><x/>", "\x00\xff")
	f.Fuzz(func(t *testing.T, name, why string) {
		c := trial.Case{Name: name, Expect: trial.Allow}
		r := &trial.Report{Name: name, Idle: []string{why}, Results: []trial.Result{{Case: &c, Failed: true, At: name, Outcome: trial.Outcome{Basis: why, Why: why}}}}
		var b bytes.Buffer
		if err := trial.TAP(&b, []*trial.Report{r}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if strings.HasPrefix(line, "ok") || strings.HasPrefix(line, "not ok") && strings.Contains(strings.ReplaceAll(line, `\#`, ""), "#") {
				t.Errorf("%q in\n%s", line, b.String())
			}
		}
		if got := strings.Count(b.String(), "\nnot ok"); got != 1 {
			t.Errorf("%d failures in\n%s", got, b.String())
		}
		b.Reset()
		if err := trial.JUnit(&b, []*trial.Report{r}); err != nil {
			t.Fatal(err)
		}
		var read struct {
			Suites []struct {
				Failures int `xml:"failures,attr"`
				Cases    []struct {
					Failure *struct{} `xml:"failure"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(b.Bytes(), &read); err != nil || len(read.Suites) != 1 || len(read.Suites[0].Cases) != 1 || read.Suites[0].Cases[0].Failure == nil {
			t.Errorf("%v: %+v", err, read)
		}
	})
}
