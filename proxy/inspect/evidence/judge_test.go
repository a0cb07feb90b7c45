package evidence_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

func TestHitsAreWeighed(t *testing.T) {
	hit := func(rule, size int) evidence.Hit {
		return evidence.Hit{Rule: rule, Points: 5, Location: "ARGS:a", Size: size}
	}
	cases := []struct {
		name string
		hits []evidence.Hit
		want int
	}{
		{"nothing", nil, 0},
		{"a rule that is believed", []evidence.Hit{hit(942160, 30)}, 5},
		{"the same in a long text", []evidence.Hit{hit(942160, 3000)}, 2},
		{"the same rule twice", []evidence.Hit{hit(942160, 30), hit(942160, 40)}, 5},
		{"two rules", []evidence.Hit{hit(942160, 30), hit(942500, 30)}, 10},
		{"a rule that is doubted", []evidence.Hit{hit(942100, 30)}, 2},
		{"several of one class", []evidence.Hit{hit(942100, 30), hit(942190, 30), hit(942550, 30)}, 2},
		{"several of several classes", []evidence.Hit{hit(930120, 30), hit(932160, 30), hit(941100, 30)}, 2},
		{"a rule about what browsers do", []evidence.Hit{hit(920350, 10), hit(921150, 10), hit(943110, 10)}, 0},
		{"a rule of a policy, in a long text", []evidence.Hit{hit(1000, 5000)}, 5},
		{"Shellshock", []evidence.Hit{hit(932170, 30)}, 5},
		{"a command of Windows", []evidence.Hit{hit(932380, 30)}, 2},
		{"a believed and a doubted one", []evidence.Hit{hit(942160, 30), hit(942100, 30)}, 7},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := evidence.Judge(c.hits, nil).Score; got != c.want {
				t.Errorf("score %d, want %d", got, c.want)
			}
		})
	}
	if len(cases) < 13 {
		t.Errorf("only %d cases", len(cases))
	}
}

// What is found in two values does not add up, what is found in one does.
func TestFindingsOfOneValueCountTogether(t *testing.T) {
	score := func(target string) int {
		return evidence.Judge(nil, evidence.Look(&flow.Request{Target: target, Header: header{}}, evidence.Body{})).Score
	}
	const command, deep = "curl+http://a.example/b", "../../../../../x/y"
	one, other := score("/?a="+command), score("/?a="+deep)
	if one != 3 || other != 3 {
		t.Fatalf("scores %d and %d; the test shows nothing", one, other)
	}
	if got := score("/?a=" + command + "&b=" + deep); got != 3 {
		t.Errorf("in two values %d", got)
	}
	if got := score("/?a=" + command + "+" + deep); got != 6 {
		t.Errorf("in one value %d", got)
	}
	v := evidence.Judge([]evidence.Hit{{Rule: 930100, Points: 5, Size: 30}}, evidence.Look(&flow.Request{Target: "/?a=" + deep, Header: header{}}, evidence.Body{}))
	if v.Score != 5 {
		t.Errorf("with a second opinion %d", v.Score)
	}
}

// A script that a text may hold is an attack in a header field and in the path.
func TestWhatNobodyWritesInAHeadIsAnAttack(t *testing.T) {
	const code = "x%3Ddocument.cookie"
	cases := []struct {
		name, target string
		fields       header
		want         int
	}{
		{"in a parameter", "/?a=" + code, nil, 3},
		{"in a cookie", "/", header{{"Cookie", "a=" + code}}, 3},
		{"in a header field", "/", header{{"X-Note", "x=document.cookie"}}, 5},
		{"in the path", "/a/" + code, nil, 5},
		{"a path in a header field", "/", header{{"X-Note", "../../../../../x/y"}}, 3},
	}
	for _, c := range cases {
		v := evidence.Judge(nil, evidence.Look(&flow.Request{Target: c.target, Header: c.fields}, evidence.Body{}))
		if v.Score != c.want {
			t.Errorf("%s: score %d, want %d", c.name, v.Score, c.want)
		}
	}
	if len(cases) < 5 {
		t.Errorf("only %d cases", len(cases))
	}
}
