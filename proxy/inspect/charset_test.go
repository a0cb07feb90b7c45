package inspect

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestCharsets(t *testing.T) {
	tests := []struct {
		contentType string
		foreign     bool
	}{
		{"", false},
		{"application/json", false},
		{"application/json; charset=utf-8", false},
		{"application/json; charset=UTF-8", false},
		{`application/json; charset="utf-8"`, false},
		{"application/json;charset = utf-8", false},
		{"text/plain; charset=us-ascii; format=flowed", false},
		{"text/plain; x-charsets=2", false},
		{"text/plain; charset=iso-8859-1", false},
		{"application/json; charset=utf-7", true},
		{"application/json; charset=utf-16", true},
		{"application/json; charset=utf-16le", true},
		{"application/json; charset=utf-32", true},
		{"application/json; charset='ibm037'", true},
		{"application/json; charset=cp037", true},
		{"application/json; charset=shift_jis", true},
		{"application/json; charset=utf-8; charset=utf-7", true},
		{"application/json; charset=utf-7; charset=utf-8", true},
		{"application/json; charset=utf-8,application/json; charset=ibm500", true},
		{"application/json; CHARSET\t=\tutf-7", true},
		{"application/json; charset*=utf-7''x", true},
		{"application/json; charset=", true},
	}
	const minimum = 22
	if len(tests) < minimum {
		t.Errorf("only %d cases, want %d", len(tests), minimum)
	}
	for _, tt := range tests {
		if got := foreignCharset(header{{"CONTENT-type", tt.contentType}}); got != tt.foreign {
			t.Errorf("%q is foreign: %t, want %t", tt.contentType, got, tt.foreign)
		}
	}
}

// However high the threshold: what was not read is not clean.
func TestAForeignCharsetIsRefused(t *testing.T) {
	lax := sharedInspector(t, "lax", config.InspectionSpec{Threshold: 1000, Body: config.InspectionBody{InspectBytes: 1 << 20}})
	for _, contentType := range []string{"application/json; charset=utf-7", "application/x-www-form-urlencoded; charset=ibm037", "text/plain; charset=utf-16"} {
		v := judge(t, lax, request("POST", "/", "Content-Type: "+contentType, "Content-Length: 4"), `"ab"`)
		if v.Outcome != flow.Blocked || !hasRule(v, 7100010) || v.Message == "" {
			t.Errorf("%s: %+v", contentType, v)
		}
	}
}

// FuzzCharsets holds that only what names a harmless charset, or none, is not
// foreign, whatever stands around it.
func FuzzCharsets(f *testing.F) {
	f.Add("application/json; charset=", "utf-8")
	f.Add("charset=utf-8;charset=", "utf-7")
	f.Fuzz(func(t *testing.T, before, name string) {
		name = strings.Trim(strings.ToLower(name), " \t\"'")
		if name == "" || strings.ContainsAny(name, "\"'; \t,=*") || asciiBased(name) {
			return
		}
		if !foreignIn(before + "; charset=" + name) {
			t.Errorf("%q after %q is not foreign", name, before)
		}
	})
}
