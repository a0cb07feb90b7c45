package crd

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Schema is a structural one (OpenAPI v3, as far as CustomResourceDefinitions have
// it).
type Schema map[string]any

// A Describer says what the source says of a field, or of a type if the field is
// empty.
type Describer func(t reflect.Type, field string) string

// maxItems bounds every list: the cost of what a schema checks is estimated from the
// largest document that it allows.
const maxItems = 1024

// of is the schema of a type.
func of(t reflect.Type, describe Describer) Schema {
	if s := special(t); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return of(t.Elem(), describe)
	case reflect.Struct:
		return object(t, describe)
	case reflect.Slice:
		return Schema{"type": "array", "items": of(t.Elem(), describe), "maxItems": maxItems}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": of(t.Elem(), describe)}
	case reflect.String:
		s := Schema{"type": "string"}
		if words := values(t); words != nil {
			s["enum"] = words
		}
		return s
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Int32:
		return Schema{"type": "integer", "format": "int32"}
	default:
		return Schema{"type": "integer", "format": "int64"}
	}
}

// special are types that are not written as what they are made of.
func special(t reflect.Type) Schema {
	switch t {
	case reflect.TypeFor[config.Date]():
		return Schema{"type": "string", "format": "date", "pattern": `^\d{4}-\d{2}-\d{2}$`}
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[time.Time]():
		return Schema{"type": "string", "format": "date-time"}
	}
	return nil
}

// values are those that a type is restricted to; nil if it isn't.
func values(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[authz.Action]():
		return []string{string(authz.Allow), string(authz.Deny)}
	case reflect.TypeFor[authz.Mode]():
		return []string{string(authz.Enforce), string(authz.DryRun)}
	case reflect.TypeFor[metav1.ConditionStatus]():
		return []string{string(metav1.ConditionTrue), string(metav1.ConditionFalse), string(metav1.ConditionUnknown)}
	}
	if v, ok := reflect.TypeAssert[interface{ Values() []string }](reflect.Zero(t)); ok {
		return v.Values()
	}
	return nil
}

func object(t reflect.Type, describe Describer) Schema {
	properties, required := Schema{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		s := of(f.Type, describe)
		maps.Copy(s, constraints(t, name))
		if text := describe(t, f.Name); text != "" {
			s["description"] = text
		}
		properties[name] = s
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	s := Schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		s["required"] = required
	}
	maps.Copy(s, constraints(t, ""))
	return s
}
