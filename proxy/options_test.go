package proxy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// renamed are the limits whose name in the file says more.
var renamed = map[string]string{
	"UpstreamIdlePerDestination":        "UpstreamIdle",
	"UpstreamConnectionsPerDestination": "UpstreamConnections",
}

// A limit that can be configured and is not obeyed would be worse than none.
func TestEveryConfiguredLimitIsObeyed(t *testing.T) {
	fields := reflect.TypeFor[config.Limits]()
	if fields.NumField() < 19 {
		t.Fatalf("only %d fields", fields.NumField())
	}
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		var c config.Limits
		reflect.ValueOf(&c).Elem().Field(i).SetInt(4242)
		want := reflect.ValueOf(limits.Default())
		got := reflect.ValueOf(effectiveLimits(c))
		for j := range got.NumField() {
			field := got.Type().Field(j).Name
			switch mine := field == name || field == renamed[name]; {
			case mine && got.Field(j).Int() != 4242:
				t.Errorf("%s was not taken over", name)
			case !mine && got.Field(j).Int() != want.Field(j).Int():
				t.Errorf("%s changed %s", name, field)
			}
		}
		if _, ok := got.Type().FieldByName(name); !ok && renamed[name] == "" {
			t.Errorf("%s is no limit of the data plane", name)
		}
	}
	if got := effectiveLimits(config.Limits{}); got != limits.Default() {
		t.Errorf("without a configuration: %+v", got)
	}
}

// changeable are the fields of the file that a reload may change.
var changeable = map[string]bool{
	"Inbound": true, "Outbound": true, "Destinations": true, "Drain": true, "Limits": true,
}

// differ sets something in a field to another value.
func differ(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(4242)
	case reflect.Uint32:
		v.SetUint(4242)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		differ(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		differ(t, v.Field(0))
	default:
		t.Fatalf("don't know how to change a %v", v.Type())
	}
}

// Every field of the file either takes effect at a reload or is refused by name;
// none is silently ignored.
func TestEveryFieldIsReloadedOrRefused(t *testing.T) {
	spec := reflect.TypeFor[config.Spec]()
	if spec.NumField() < 11 {
		t.Fatalf("only %d fields", spec.NumField())
	}
	for i := range spec.NumField() {
		f := spec.Field(i)
		old, c := new(config.Sidecar), new(config.Sidecar)
		differ(t, reflect.ValueOf(&c.Spec).Elem().Field(i))
		err := fixedFields(old, c)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case changeable[f.Name] && err != nil:
			t.Errorf("%s: %v", f.Name, err)
		case !changeable[f.Name] && (err == nil || !strings.Contains(err.Error(), "spec."+key+":")):
			t.Errorf("%s: %v, want an error that names spec.%s", f.Name, err, key)
		}
	}
	old, c := new(config.Sidecar), new(config.Sidecar)
	c.Metadata.Labels = map[string]string{"app": "other"}
	if err := fixedFields(old, c); err == nil || !strings.Contains(err.Error(), "metadata") {
		t.Errorf("another workload: %v", err)
	}
	if err := fixedFields(old, new(config.Sidecar)); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
}

func TestTwoFieldsThatCannotChangeAreBothNamed(t *testing.T) {
	old, c := new(config.Sidecar), new(config.Sidecar)
	c.Spec.Admin.Listen, c.Spec.Identity.Files = "x", &config.Files{Interval: time.Second}
	err := fixedFields(old, c)
	for _, name := range []string{"spec.admin", "spec.identity"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}
