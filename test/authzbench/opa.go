package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

const opaHead = `package mesh

default allow := false

allow if {
	permitted
	not denied
}

denied if startswith(input.principal, "` + guests + `")

path if input.path == "` + exact + `"

path if startswith(input.path, "` + below + `")
`

// opaRules writes a rule of Rego for each rule. Those that compare the caller
// with a text are what OPA's own index is for.
func opaRules(s shape, n int, calls []call) (decide, error) {
	if n > 10_000 {
		return nil, nil // takes gigabytes and minutes to compile
	}
	var b strings.Builder
	b.WriteString(opaHead)
	for i := range n {
		who := fmt.Sprintf("input.principal == %q", s.principal(i))
		if s.byPrefix {
			who = fmt.Sprintf("startswith(input.principal, %q)", s.principal(i))
		}
		fmt.Fprintf(&b, "\npermitted if {\n\t%s\n\tinput.method in {\"GET\", \"POST\"}\n\tinput.port == %d\n\tpath\n}\n", who, port)
	}
	return opa(calls, rego.Module("bench.rego", b.String()))
}

// opaData has one rule of Rego and the rules of the policy as data, by caller,
// which is how OPA is meant to be used with many of them.
func opaData(s shape, n int, calls []call) (decide, error) {
	if s.byPrefix {
		return nil, nil // no such table
	}
	rules := make(map[string]any, n)
	for i := range n {
		rules[s.principal(i)] = []any{map[string]any{"methods": []any{"GET", "POST"}, "port": port}}
	}
	text := opaHead + `
permitted if {
	some rule in data.rules[input.principal]
	input.method in rule.methods
	input.port == rule.port
	path
}
`
	store := inmem.NewFromObjectWithOpts(map[string]any{"rules": rules}, inmem.OptReturnASTValuesOnRead(true))
	return opa(calls, rego.Module("bench.rego", text), rego.Store(store))
}

// opa prepares the query and the inputs once.
func opa(calls []call, options ...func(*rego.Rego)) (decide, error) {
	ctx := context.Background()
	query, err := rego.New(append(options, rego.Query("data.mesh.allow"))...).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("compile for OPA: %w", err)
	}
	inputs := make([]ast.Value, len(calls))
	for i, c := range calls {
		inputs[i], err = ast.InterfaceToValue(map[string]any{
			"principal": c.principal, "method": c.method, "path": c.path, "port": c.port,
		})
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
	}
	return func(i int) (bool, error) {
		results, err := query.Eval(ctx, rego.EvalParsedInput(inputs[i]))
		if err != nil {
			return false, fmt.Errorf("ask OPA: %w", err)
		}
		if len(results) != 1 {
			return false, errors.New("OPA has no answer")
		}
		return results.Allowed(), nil
	}, nil
}
