package authz_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// What the corpus must at least hold, so that a test that reads none of it fails.
const (
	leastCases    = 300
	leastProblems = 60
)

// TestCorpus decides the cases of testdata/*.txt. Each section "policies: title"
// holds documents, "options" lines of key and value, and "cases" one case per
// line; testdata/README.md has the grammar of a case.
func TestCorpus(t *testing.T) {
	count := 0
	for _, name := range corpusFiles(t) {
		opts, set := authz.Options{Workload: authztest.Workload()}, (*authz.Set)(nil)
		var policies []authz.Policy
		for _, s := range sections(t, name) {
			switch s.kind {
			case "policies":
				opts, policies = authz.Options{Workload: authztest.Workload()}, decode(t, s)
			case "options":
				readOptions(t, &opts, s)
			case "cases":
				var err error
				if set, err = authz.Compile(policies, opts); err != nil {
					t.Fatalf("%s: %v", s.at(0), err)
				}
				for i, line := range s.lines {
					if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
						count++
						t.Run(fmt.Sprintf("%s/%s", filepath.Base(name), line), func(t *testing.T) {
							decideCase(t, set, s.at(i), line)
						})
					}
				}
			}
		}
	}
	t.Logf("%d cases", count)
	if t.Attr("cases", fmt.Sprintf("%d cases of the corpus", count)); count < leastCases {
		t.Errorf("the corpus has %d cases, want at least %d", count, leastCases)
	}
}

// TestCorpusProblems validates the policies of testdata/*.txt that are followed by
// a section "problems", one line each.
func TestCorpusProblems(t *testing.T) {
	count := 0
	for _, name := range corpusFiles(t) {
		var policies []authz.Policy
		for _, s := range sections(t, name) {
			switch s.kind {
			case "policies":
				policies = decode(t, s)
			case "problems":
				var got, want []string
				fatal := false
				for _, p := range authz.Validate(policies) {
					got, fatal = append(got, p.String()), fatal || !p.Warning
				}
				for _, line := range s.lines {
					if line != "" {
						want = append(want, line)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: problems (-want +got):\n%s", s.at(0), diff)
				}
				_, err := authz.Compile(policies, authz.Options{Workload: authztest.Workload()})
				if p := (authz.Problem{}); errors.As(err, &p) != fatal {
					t.Errorf("%s: Compile returned %v", s.at(0), err)
				}
				count += len(want)
			}
		}
	}
	t.Logf("%d problems", count)
	if t.Attr("cases", fmt.Sprintf("%d problems", count)); count < leastProblems {
		t.Errorf("the corpus has %d problems, want at least %d", count, leastProblems)
	}
}

// decideCase checks one line: VERDICT CALLER WHAT [key=value ...] [=> text].
func decideCase(t *testing.T, set *authz.Set, at, line string) {
	line, text, explained := strings.Cut(line, "=>")
	words := strings.Fields(line)
	if len(words) < 3 {
		t.Fatalf("%s: a case needs a verdict, a caller and what is called", at)
	}
	r := &authz.Request{Peer: caller(t, words[1]), Source: netip.MustParseAddr("10.0.0.9"), Port: 8080}
	decide := set.Authorize
	switch rest := words[2:]; rest[0] {
	case "tcp":
		readFacts(t, r, rest[1:])
	case "connection":
		r.HTTP, decide = true, set.AuthorizeConnection
		readFacts(t, r, rest[1:])
	default:
		r.HTTP, r.Host, r.Method, r.Path = true, "payments", rest[0], rest[1]
		readFacts(t, r, rest[2:])
	}
	d := decide(r)
	if want := words[0] == "allow"; d.Allowed != want || !want && words[0] != "deny" {
		t.Errorf("%s: %v, want %s", at, d, words[0])
	}
	if !explained {
		return
	}
	got, want := d.String(), strings.TrimSpace(text)
	if strings.HasPrefix(want, "nearest") {
		n, ok := set.Nearest(r)
		if got = "nearest " + n.String(); !ok {
			got = "nearest: none"
		}
	}
	if got != want {
		t.Errorf("%s: explained by\n\t%s\nwant\n\t%s", at, got, want)
	}
}

// caller reads "-" for none, NAME or NAMESPACE/NAME for a service account of
// cluster.local (shop by default), or a SPIFFE ID.
func caller(t *testing.T, word string) spiffeid.ID {
	switch {
	case word == "-":
		return spiffeid.ID{}
	case strings.HasPrefix(word, "spiffe://"):
	case strings.Contains(word, "/"):
		namespace, name, _ := strings.Cut(word, "/")
		word = authztest.Account(namespace, name)
	default:
		word = authztest.Account("shop", word)
	}
	id, err := spiffeid.FromString(word)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func readFacts(t *testing.T, r *authz.Request, words []string) {
	header := authztest.Header{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "port":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			r.Port = uint16(n)
		case "ip":
			r.Source, _ = netip.ParseAddr(value)
		case "host":
			r.Host = value
		default:
			header = append(header, [2]string{key, value})
		}
	}
	r.Header = header
}

func readOptions(t *testing.T, opts *authz.Options, s section) {
	for i, line := range s.lines {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "":
		case "default":
			opts.Default = authz.Access(value)
		case "namespace":
			opts.Workload.Namespace = value
		case "trustDomain":
			opts.Workload.TrustDomain = value
		case "labels":
			opts.Workload.Labels = make(map[string]string)
			for pair := range strings.SplitSeq(value, ",") {
				k, v, _ := strings.Cut(pair, "=")
				opts.Workload.Labels[k] = v
			}
		default:
			t.Fatalf("%s: unknown option %q", s.at(i), key)
		}
	}
}

// A section of a corpus file: a line "-- kind: title --" and what follows.
type section struct {
	file  string
	first int
	kind  string
	lines []string
}

func (s section) at(i int) string { return fmt.Sprintf("%s:%d", s.file, s.first+i) }

func sections(t *testing.T, name string) (all []section) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if head, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(head, " --") {
			kind, _, _ := strings.Cut(strings.TrimSuffix(head, " --"), ":")
			if !strings.Contains(" policies options cases problems ", " "+kind+" ") {
				t.Fatalf("%s:%d: unknown section %q", name, i+1, kind)
			}
			all = append(all, section{file: name, first: i + 2, kind: kind})
		} else if len(all) > 0 {
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
		}
	}
	return all
}

func corpusFiles(t *testing.T) []string {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	return names
}

// decode reads the documents of a section; a key that does not exist fails.
func decode(t *testing.T, s section) (policies []authz.Policy) {
	d := yaml.NewDecoder(bytes.NewReader([]byte(strings.Join(s.lines, "\n"))))
	d.KnownFields(true)
	for {
		var p authz.Policy
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return policies
		case err != nil:
			t.Fatalf("%s: %v", s.at(0), err)
		}
		policies = append(policies, p)
	}
}
