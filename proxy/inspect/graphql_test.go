package inspect

import (
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestGraphQLIsInspected(t *testing.T) {
	const graphql = "Content-Type: application/graphql"
	for _, tt := range []struct {
		name, body string
		want       flow.Outcome
		rule       int
	}{
		{"benign", `query { user(id: "42") { name, orders(status: "open", first: 10) { id total } } }`, flow.Clean, 0},
		{"an attack", `{ user(name: "1' UNION SELECT password FROM users-- -") { id } }`, flow.Blocked, 942100},
		{"an attack that is escaped", `{ user(name: "\u003cscript\u003ealert(1)\u003c/script\u003e") { id } }`, flow.Blocked, 941100},
		{"what is none", `{"query": "x"} trailing "`, flow.Blocked, 7100008},
		{"too many texts", "{a(b: [" + strings.Repeat(`"x",`, 1500) + "])}", flow.NotInspected, 7100006},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, mesh(t), request("POST", "/", graphql, "Content-Length: "+strconv.Itoa(len(tt.body))), tt.body)
			if v.Outcome != tt.want || tt.rule != 0 && !hasRule(v, tt.rule) {
				t.Errorf("verdict %+v", v)
			}
			if tt.want == flow.Blocked && tt.rule < 7000000 && v.Location != "ARGS:graphql.user.name" {
				t.Errorf("location %q", v.Location)
			}
		})
	}
}
