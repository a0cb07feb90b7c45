package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// parsed are flags as a command line gives them.
func parsed(t *testing.T, register func(*flag.FlagSet), line ...string) {
	t.Helper()
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	register(fs)
	if err := fs.Parse(line); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultsAreThoseOfABudgetFile(t *testing.T) {
	var l loadFlags
	register := func(fs *flag.FlagSet) { l.register(fs, defaultRate) }
	parsed(t, register)
	p, b, err := l.plan()
	if err != nil || b.Asked || p.Seed == 0 {
		t.Errorf("%+v, %+v, %v", p, b, err)
	}
	if p.Callers != budget.DefaultConnections || p.Rounds != budget.DefaultRounds || p.Block != budget.DefaultBlock || p.Warmup != budget.DefaultWarmup {
		t.Errorf("%+v", p)
	}
	if l.streams != 1 || p.Rate.String() != "1000" {
		t.Errorf("%d streams, rate %s", l.streams, p.Rate)
	}
	parsed(t, register, "--rate", "max", "--seed", "7", "--budget", "errors=0%")
	if p, b, err = l.plan(); err != nil || p.Rate != nil || p.Seed != 7 || !b.Asked {
		t.Errorf("%+v, %+v, %v", p, b, err)
	}
}

func TestARequestIsWhatItsFlagsSay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r requestFlags
	register := func(fs *flag.FlagSet) { r.register(fs, func(string) string { return "" }) }
	parsed(t, register, "--protocol", "http2", "--method", "PUT", "--host", "h", "--header", "A: b ", "--header", "C:", "--body-file", path, "--status", "201", "--timeout", "2s")
	got, err := r.options(8)
	want := target.Options{
		Protocol: target.HTTP2, Method: "PUT", Host: "h", Header: []target.Field{{Name: "A", Value: "b"}, {Name: "C"}},
		Body: []byte("text"), Status: 201, Timeout: 2 * time.Second, Streams: 8,
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFileForABodyHasABound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "body")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(maxBody); err != nil {
		t.Fatal(err)
	}
	if text, err := readFile(path); err != nil || len(text) != maxBody {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if err := f.Truncate(maxBody + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(path); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
		t.Errorf("%v", err)
	}
}

// Credentials stand in header fields, and a report is handed on.
func TestValuesOfHeaderFieldsStayOutOfReports(t *testing.T) {
	cases := []struct{ line, want string }{
		{"run http://a --header A:secret --rate 1", "run http://a --header A: … --rate 1"},
		{"run -header A:secret", "run -header A: …"},
		{"run --header=A:secret http://a", "run --header=A: … http://a"},
		{"run --header", "run --header"},
		{"run --host header --body A:b", "run --host header --body A:b"},
		{"run --headers A:b", "run --headers A:b"},
	}
	if len(cases) < 6 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		words := strings.Fields(c.line)
		if got := strings.Join(discreet(words), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
		if strings.Join(words, " ") != c.line {
			t.Errorf("%q was changed", c.line)
		}
	}
}

func TestTheSameMistakeIsNamedOnce(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	if err := distinct(nil, errors.Join(a, errors.Join(b, errors.New("a"))), b); err == nil || err.Error() != "a\nb" || !errors.Is(err, a) {
		t.Errorf("%v", err)
	}
	if err := distinct(nil, nil); err != nil {
		t.Errorf("%v", err)
	}
}

func TestIdentityFlagsThatWouldBeLeftAside(t *testing.T) {
	full := target.Identity{SVID: "s", Key: "k", Bundle: "b"}
	socket := target.Identity{Socket: "unix:///s"}
	cases := []struct {
		name  string
		flags identityFlags
		says  string // "" for none
	}{
		{"none", identityFlags{}, ""},
		{"a socket of the environment", identityFlags{identity: socket}, ""},
		{"roots", identityFlags{roots: "r"}, ""},
		{"files and their server", identityFlags{identity: full, servers: words{"s"}}, ""},
		{"a socket and its server", identityFlags{identity: socket, servers: words{"s"}}, ""},
		{"files without a server", identityFlags{identity: full}, "name the server"},
		{"half of the files", identityFlags{identity: target.Identity{SVID: "s"}, servers: words{"s"}}, "each takes the other two"},
		{"a server without an identity", identityFlags{servers: words{"s"}}, "an identity is missing"},
		{"roots and a server", identityFlags{roots: "r", identity: full, servers: words{"s"}}, "give one of them"},
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		err := c.flags.check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.says)
		}
		if asked := c.flags.placeholder() != nil; asked != (c.flags.roots != "" || len(c.flags.servers) > 0) {
			t.Errorf("%s: asks for a configuration: %t", c.name, asked)
		}
	}
}
