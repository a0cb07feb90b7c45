package suggest_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/authz/suggest"
)

// logOf reads calls "DAY CALLER METHOD PATH [key=value...]"; "tcp" for METHOD is
// opaque, and "-" for CALLER is nobody.
func logOf(t *testing.T, calls string) *observed.Log {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(calls) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		with := map[string]string{"verdict": "allow", "status": "200", "port": "8080", "waf": "clean"}
		for _, w := range words[4:] {
			key, value, _ := strings.Cut(w, "=")
			with[key] = value
		}
		id, security, protocol, kind := `,"id":"`+authztest.Account("shop", words[1])+`"`, "mutual_tls", "http1", "request"
		if words[1] == "-" {
			id, security = "", "plaintext"
		}
		http := fmt.Sprintf(`"method":%q,"path":%q,"status":%s,`, words[2], words[3], with["status"])
		if words[2] == "tcp" {
			protocol, kind, http = "tcp", "connection", ""
		}
		decision := fmt.Sprintf(`"decision":{"verdict":%q,"basis":"default"},`, with["verdict"])
		if with["verdict"] == "none" {
			decision = ""
		}
		fmt.Fprintf(&b, `{"time":"2026-03-%sT10:00:00Z","kind":%q,"direction":"inbound","source":{"address":"10.0.0.9:1"%s},"destination":{"address":"127.0.0.1:%s"},%s%s"protocol":%q,"security":%q,"waf":{"outcome":%q}}`+"\n",
			words[0], kind, id, with["port"], http, decision, protocol, security, with["waf"])
	}
	l := new(observed.Log)
	if err := l.Read("log", strings.NewReader(b.String())); err != nil || l.Damaged > 0 {
		t.Fatalf("%v, %d damaged:\n%s", err, l.Damaged, b.String())
	}
	return l
}

func show(s suggest.Suggestion) string {
	var b strings.Builder
	for _, r := range s.Rules {
		for _, p := range r.From[0].Principals {
			fmt.Fprintf(&b, "%s ", p[strings.LastIndexByte(p, '/')+1:])
		}
		fmt.Fprintf(&b, "(%d on %d days)", r.Hits, r.Days)
		for _, g := range r.To {
			fmt.Fprintf(&b, " %v %v %v;", g.Ports, g.Methods, g.Paths)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "calls %d, denied %d, attacks %d, missing %d, unwritable %d\n", s.Calls, s.Denied, s.Attacks, s.Missing, s.Unwritable)
	for _, p := range s.Plaintext {
		fmt.Fprintf(&b, "plaintext %s %d %d refused %t\n", p.Source, p.Port, p.Hits, p.Refused)
	}
	return b.String()
}

func TestMake(t *testing.T) {
	many := ""
	for i := range 12 {
		many += fmt.Sprintf("01 a GET /tags/t%c\n", 'a'+i)
	}
	cases := []struct{ name, calls, want string }{
		{"nothing", "", "calls 0, denied 0, attacks 0, missing 0, unwritable 0\n"},
		{
			"paths of the same methods",
			"01 a GET /x\n02 a GET /y\n02 a POST /x\n02 a POST /y\n02 a PUT /z",
			"a (5 on 2 days) [8080] [GET POST] [/x /y]; [8080] [PUT] [/z];\ncalls 5, denied 0, attacks 0, missing 0, unwritable 0\n",
		},
		{
			"callers that do the same",
			"01 b GET /x\n01 a GET /x\n01 c GET /y",
			"a b (2 on 1 days) [8080] [GET] [/x];\nc (1 on 1 days) [8080] [GET] [/y];\ncalls 3, denied 0, attacks 0, missing 0, unwritable 0\n",
		},
		{
			"ids",
			"01 a GET /u/1/o\n01 a GET /u/22/o\n01 a GET /u/me/o\n01 a GET /k/6f9619ff-8b86-d011-b42d-00cf4fc964ff\n01 a GET /k/",
			"a (5 on 1 days) [8080] [GET] [/k/ /k/{*} /u/me/o /u/{*}/o];\ncalls 5, denied 0, attacks 0, missing 0, unwritable 0\n",
		},
		{"many values", many, "a (12 on 1 days) [8080] [GET] [/tags/{*}];\ncalls 12, denied 0, attacks 0, missing 0, unwritable 0\n"},
		{"a star", "01 a GET /x/*\n01 a GET /{y}", "a (2 on 1 days) [8080] [GET] [/%7By%7D /x/%2A];\ncalls 2, denied 0, attacks 0, missing 0, unwritable 0\n"},
		{
			"bytes beside HTTP, and another port",
			"01 a tcp -\n01 a GET /x\n01 a tcp - port=5432",
			"a (3 on 1 days) [5432] [] []; [8080] [] [];\ncalls 3, denied 0, attacks 0, missing 0, unwritable 0\n",
		},
		{
			"what is no evidence",
			"01 a GET /x waf=detected\n01 a GET /x waf=blocked\n01 a GET /.env status=404\n01 a GET /y verdict=deny\n01 a GET /y verdict=none\n01 a OPTIONS *\n01 a GET /a//b",
			"calls 0, denied 2, attacks 2, missing 1, unwritable 2\n",
		},
		{
			"plaintext",
			"01 - GET /x\n02 - GET /y\n01 - GET /x verdict=none\n01 - tcp - port=1",
			"calls 0, denied 0, attacks 0, missing 0, unwritable 0\nplaintext 10.0.0.9 8080 2 refused false\nplaintext 10.0.0.9 1 1 refused false\nplaintext 10.0.0.9 8080 1 refused true\n",
		},
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, show(suggest.Make(logOf(t, c.calls), suggest.Options{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	s := suggest.Make(logOf(t, "01 a GET /u/1\n03 a GET /u/2\n02 b GET /u/3\n02 b GET /u/3"), suggest.Options{})
	if len(s.Rules) != 1 || len(s.Rules[0].Callers) != 2 || len(s.Rules[0].Routes) != 1 {
		t.Fatalf("%+v", s.Rules)
	}
	r := s.Rules[0]
	if r.Hits != 4 || r.Days != 3 || r.First.Day() != 1 || r.Last.Day() != 3 {
		t.Errorf("%+v", r.Evidence)
	}
	if a := r.Callers[0]; a.Hits != 2 || a.Days != 2 || a.ID != authztest.Account("shop", "a") {
		t.Errorf("%+v", a)
	}
	if got := r.Routes[0]; got.Path != "/u/{*}" || got.Paths != 3 || got.Hits != 4 || fmt.Sprint(got.Methods) != "[GET]" {
		t.Errorf("%+v", got)
	}
}

func TestUnused(t *testing.T) {
	a, b := authztest.Account("shop", "a"), authztest.Account("shop", "b")
	policies := []authz.Policy{
		authztest.Allow("p",
			authz.Rule{From: []authz.From{{Principals: []string{a, b}}}, To: []authz.To{{Ports: []int{8080, 9}, Methods: []string{"GET", "PUT"}, Paths: []string{"/x", "/y/{*}", "/z"}}, {Ports: []int{1}}}},
			authz.Rule{From: []authz.From{{Principals: []string{b}}}},
			authz.Rule{From: []authz.From{{Principals: []string{a}}}, When: []authz.Condition{{Header: "x", Values: []string{"1"}}}}),
		authztest.Deny("d", authztest.Principals("*/sa/evil")),
		{Metadata: authz.Metadata{Name: "dry"}, Spec: authz.PolicySpec{Action: authz.Allow, Mode: authz.DryRun, Rules: []authz.Rule{authztest.Principals(b)}}},
		{Metadata: authz.Metadata{Name: "other", Namespace: "ops"}, Spec: authz.PolicySpec{Action: authz.Allow, Rules: []authz.Rule{authztest.Principals(b)}}},
	}
	got, err := suggest.Unused(logOf(t, "01 a GET /x\n01 a GET /y/1\n01 c GET /z"), policies, authz.Options{Workload: authztest.Workload()})
	if err != nil {
		t.Fatal(err)
	}
	want := `p: spec.rules[0].from[0].principals[1] "` + b + `"
p: spec.rules[0].to[0].ports[1] "9"
p: spec.rules[0].to[0].methods[1] "PUT"
p: spec.rules[0].to[0].paths[2] "/z"
p: spec.rules[0].to[1]
p: spec.rules[1]
d: spec.rules[0]
`
	text := ""
	for _, e := range got {
		text += e.String() + "\n"
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	if _, err := suggest.Unused(&observed.Log{}, []authz.Policy{{}}, authz.Options{}); err == nil {
		t.Error("a policy that is not valid is accepted")
	}
}

// FuzzMake: what is suggested is valid, allows all of its evidence, and nothing to
// callers, ports and methods that are in none of it.
func FuzzMake(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, "/a/b", "x")
	}
	f.Add(uint64(1), "/\x00", "{*}")
	f.Add(uint64(1), "/%2A/*/..", "..")
	f.Fuzz(func(t *testing.T, seed uint64, path, segment string) {
		r := rand.New(rand.NewPCG(seed, 1))
		log := randomLog(r, path, segment)
		s := suggest.Make(log, suggest.Options{MaxValues: 1 + r.IntN(4)})
		p := authztest.Allow("suggested")
		for _, rule := range s.Rules {
			p.Spec.Rules = append(p.Spec.Rules, rule.Rule)
		}
		set, err := authz.Compile([]authz.Policy{p}, authz.Options{Workload: authztest.Workload()})
		if err != nil {
			t.Fatal(err)
		}
		used, hits := map[string]bool{}, 0
		for _, c := range log.Calls {
			if c.Attack || c.Missing || c.Verdict != observed.Allowed || c.Peer.IsZero() {
				continue
			}
			normal, err := authz.NormalizePath(c.Path)
			if c.HTTP && (err != nil || normal != c.Path) {
				continue
			}
			hits += c.Hits
			used[fmt.Sprint(c.Peer, c.Port, c.HTTP)], used[fmt.Sprint(c.Peer, c.Port, c.Method)] = true, true
			if d := set.Authorize(c.Request()); !d.Allowed {
				t.Errorf("%s %s of %s is evidence and denied: %v", c.Method, c.Path, c.Peer, d)
			}
		}
		if hits != s.Calls {
			t.Errorf("%d calls are evidence, want %d", s.Calls, hits)
		}
		for _, c := range randomLog(r, path, segment).Calls {
			known := used[fmt.Sprint(c.Peer, c.Port, c.Method)] && used[fmt.Sprint(c.Peer, c.Port, c.HTTP)] || used[fmt.Sprint(c.Peer, c.Port, false)]
			if set.Authorize(c.Request()).Allowed && !known {
				t.Errorf("%s %s of %s is allowed on no evidence", c.Method, c.Path, c.Peer)
			}
		}
	})
}

func randomLog(r *rand.Rand, path, segment string) *observed.Log {
	log := &observed.Log{}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for range r.IntN(12) {
		c := &observed.Tally{Hits: 1 + r.IntN(3), Call: observed.Call{Rule: -1, Source: netip.MustParseAddr("10.0.0.9"), Port: uint16(1 + r.IntN(2)), Verdict: observed.Verdict(r.IntN(3))}}
		if r.IntN(4) > 0 {
			c.Peer = spiffeid.RequireFromString(authztest.Account("shop", pick("a", "b")))
		}
		if r.IntN(5) > 0 {
			c.HTTP, c.Method, c.Path = true, pick("GET", "PUT"), pick(path, "/"+segment, "/a/"+segment, "/a/1/x", "/a/2/x", "/a/", "/a/"+pick("p", "q", "r", "s", "t")+"/x")
		}
		c.Attack, c.Missing = r.IntN(9) == 0, r.IntN(9) == 0
		log.Calls = append(log.Calls, c)
	}
	return log
}
