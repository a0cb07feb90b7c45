package strict

import (
	"math"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, p *path) {
	if v.Type() == durationType {
		d.duration(n, v, p)
		return
	}
	switch v.Kind() {
	case reflect.String:
		d.word(n, v, p)
	case reflect.Bool:
		d.boolean(n, v, p)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.integer(n, v, p)
	case reflect.Float32, reflect.Float64:
		d.float(n, v, p)
	default:
		d.report(n, p, "the type "+v.Type().String()+" can't be read from a document", "report this as a bug")
	}
}

func (d *decoder) word(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, p, "text")
		return
	}
	// An unquoted date is text to everybody but YAML 1.1.
	if tag := n.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
		d.report(n, p, "expected text, got "+describe(n), "quote it: "+quote(n.Value))
		return
	}
	if e, ok := reflect.TypeAssert[interface{ Values() []string }](v); ok {
		if remedy := Suggest(n.Value, e.Values()); remedy != "" {
			d.report(n, p, quote(n.Value)+" is not known here", remedy)
			return
		}
	}
	v.SetString(n.Value)
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, p *path) {
	b, err := strconv.ParseBool(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || err != nil {
		d.wrong(n, p, "true or false")
		return
	}
	v.SetBool(b)
}

// decimal leaves out what YAML 1.1 and 1.2 read differently, such as 010.
var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func (d *decoder) integer(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || !decimal.MatchString(n.Value) {
		d.wrong(n, p, "a whole number in plain decimal digits")
		return
	}
	if v.CanInt() {
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err == nil {
			v.SetInt(i)
			return
		}
	} else if u, err := strconv.ParseUint(n.Value, 10, v.Type().Bits()); err == nil {
		v.SetUint(u)
		return
	}
	d.report(n, p, "the number "+clip(n.Value)+" is out of range", "")
}

func (d *decoder) float(n *yaml.Node, v reflect.Value, p *path) {
	tag := n.ShortTag()
	f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
	if n.Kind != yaml.ScalarNode || (tag != "!!float" && tag != "!!int") || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.wrong(n, p, "a number")
		return
	}
	v.SetFloat(f)
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, p *path) {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.report(n, p, "expected a duration, got "+describe(n), "write a number and a unit, such as 30s, 5m or 100ms")
		return
	}
	v.SetInt(int64(t))
}

func (d *decoder) wrong(n *yaml.Node, p *path, want string) {
	d.report(n, p, "expected "+want+", got "+describe(n), "")
}

// describe says what a value is, in words of people who write documents.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default: // a scalar
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the truth value " + clip(n.Value)
	case "!!null":
		return "nothing"
	}
	return quote(n.Value)
}
