package crd

import (
	"reflect"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// constraints are what is known of a field beside its type; of the whole object if
// the field is empty.
func constraints(t reflect.Type, field string) Schema {
	switch t {
	case reflect.TypeFor[authz.From](), reflect.TypeFor[authz.To](), reflect.TypeFor[authz.Condition]():
		return matching(field)
	case reflect.TypeFor[config.InspectionSpec]():
		return inspection(field)
	case reflect.TypeFor[config.InspectionBody]():
		if field == "inspectBytes" {
			return Schema{"minimum": 0}
		}
	case reflect.TypeFor[config.CallerInspection]():
		if field == "principals" {
			return Schema{"minItems": 1, "items": principal()}
		}
		return inspection(field)
	case reflect.TypeFor[config.Rollout]():
		if field == "percent" {
			return Schema{"minimum": 1, "maximum": 100}
		}
	case reflect.TypeFor[config.Exclusion]():
		return exclusion(field)
	case reflect.TypeFor[config.MeshSpec]():
		if field == "trustDomain" {
			return Schema{"pattern": `^[a-z0-9._-]+$`} // SPIFFE-ID §2.1
		}
	case reflect.TypeFor[config.MeshIdentity]():
		return meshIdentity(field)
	}
	return nil
}

// matching is about what a rule compares. A list without anything in it looks like one
// that is not there, and means the contrary.
func matching(field string) Schema {
	switch {
	case field == "":
		return nil
	case field == "header":
		return Schema{"minLength": 1}
	case strings.HasSuffix(strings.ToLower(field), "principals"):
		return Schema{"minItems": 1, "items": principal()}
	case strings.HasSuffix(strings.ToLower(field), "paths"):
		return Schema{"minItems": 1, "items": path()}
	case strings.HasSuffix(strings.ToLower(field), "ports"):
		return Schema{"minItems": 1, "items": Schema{"type": "integer", "format": "int64", "minimum": 1, "maximum": 65535}}
	}
	return Schema{"minItems": 1, "items": Schema{"type": "string", "minLength": 1}}
}

// principal and path are patterns, of which a schema sees how they begin.
func principal() Schema { return Schema{"type": "string", "pattern": `^(spiffe://|\*)`} }

func path() Schema { return Schema{"type": "string", "pattern": `^[/*]`} }

func inspection(field string) Schema {
	switch field {
	case "paranoia":
		return Schema{"minimum": 0, "maximum": 4}
	case "threshold", "cpuMillis":
		return Schema{"minimum": 0}
	case "paths":
		return Schema{"minItems": 1, "items": path()}
	case "rules":
		return Schema{"pattern": `\S`}
	}
	return nil
}

func exclusion(field string) Schema {
	switch field {
	case "path":
		return Schema{"pattern": path()["pattern"]}
	case "rule":
		return Schema{"minimum": 1}
	case "reason":
		return Schema{"pattern": `\S`}
	}
	return nil
}

func meshIdentity(field string) Schema {
	switch field {
	case "":
		return Schema{"x-kubernetes-validations": []Schema{{
			"rule":    "(has(self.provider) && self.provider == 'WorkloadAPI') || (!has(self.driver) && !has(self.socket))",
			"message": "driver and socket go with provider: WorkloadAPI only",
		}}}
	case "socket":
		return Schema{"pattern": `^[^/].*[^/]$|^[^/]$`}
	}
	return nil
}
