package crd_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// check is as much of an API server as our schemas need, but for the rules in CEL. It
// knows no other keyword, so that one can't be forgotten here.
func check(s map[string]any, at string, v any) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
	for key := range s {
		if !slices.Contains([]string{
			"type", "format", "enum", "properties", "required", "items", "maxItems", "minItems", "additionalProperties",
			"minimum", "maximum", "minLength", "pattern", "description", "x-kubernetes-validations",
		}, key) {
			bad("the schema has %s, which is unknown here", key)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		if s["type"] != "object" {
			bad("is an object")
			return problems
		}
		return append(problems, checkObject(s, at, v)...)
	case []any:
		if s["type"] != "array" {
			bad("is a list")
			return problems
		}
		if least, ok := s["minItems"].(float64); ok && float64(len(v)) < least {
			bad("has %d elements", len(v))
		}
		for i, e := range v {
			problems = append(problems, check(s["items"].(map[string]any), fmt.Sprintf("%s[%d]", at, i), e)...)
		}
	case string:
		if s["type"] != "string" {
			bad("is text")
			return problems
		}
		if words, ok := s["enum"].([]any); ok && !slices.Contains(words, any(v)) {
			bad("%q is none of %v", v, words)
		}
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			bad("%q does not match %s", v, p)
		}
		if least, ok := s["minLength"].(float64); ok && float64(len(v)) < least {
			bad("is empty")
		}
	case float64:
		if s["type"] != "integer" || v != float64(int64(v)) {
			bad("is a number")
			return problems
		}
		if least, ok := s["minimum"].(float64); ok && v < least {
			bad("%v is below %v", v, least)
		}
		if most, ok := s["maximum"].(float64); ok && v > most {
			bad("%v is above %v", v, most)
		}
	case bool:
		if s["type"] != "boolean" {
			bad("is true or false")
		}
	case nil:
		bad("has no value")
	}
	return problems
}

// checkObject refuses unknown fields, as kubectl asks the API server to.
func checkObject(s map[string]any, at string, v map[string]any) (problems []string) {
	properties, _ := s["properties"].(map[string]any)
	for key, value := range v {
		inner, ok := properties[key].(map[string]any)
		if extra, free := s["additionalProperties"].(map[string]any); free {
			inner, ok = extra, true
		}
		switch {
		case ok && key == "metadata" && at == "":
		case ok:
			problems = append(problems, check(inner, strings.TrimPrefix(at+"."+key, "."), value)...)
		default:
			problems = append(problems, fmt.Sprintf("%s: unknown field %q", at, key))
		}
	}
	required, _ := s["required"].([]any)
	for _, key := range required {
		if _, ok := v[key.(string)]; !ok {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", at, key))
		}
	}
	slices.Sort(problems)
	return problems
}

// schemas are those of the manifests, by kind, as an API server reads them.
func schemas(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, d := range definitions(t) {
		var read struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text(t, d)), &read); err != nil {
			t.Fatal(err)
		}
		all[read.Spec.Names.Kind] = read.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return all
}

// refused lists what the API server says of the documents of a stream.
func refused(t *testing.T, schemas map[string]map[string]any, stream string) (problems []string, documents int) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+stream, "\n---\n") {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(doc), &tree); err != nil || tree == nil {
			if err != nil {
				problems = append(problems, "no YAML")
			}
			continue
		}
		documents++
		kind, _ := tree["kind"].(string)
		metadata, _ := tree["metadata"].(map[string]any)
		switch {
		case schemas[kind] == nil || tree["apiVersion"] != config.APIVersion:
			problems = append(problems, fmt.Sprintf("no matches for kind %q", kind))
			continue
		case kind != config.KindMeshConfig && metadata["name"] == nil:
			problems = append(problems, "resource name may not be empty")
		}
		problems = append(problems, check(schemas[kind], "", tree)...)
	}
	return problems, documents
}
