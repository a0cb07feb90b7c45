package authz_test

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// expressions are those compiled before: without them, most of a comparison is
// spent compiling the same few.
var expressions sync.Map

// expression matches whole texts.
func expression(expr string) *regexp.Regexp {
	if known, ok := expressions.Load(expr); ok {
		return known.(*regexp.Regexp)
	}
	e := regexp.MustCompile(`^(?s:` + expr + `)$`)
	expressions.Store(expr, e)
	return e
}

// glob matches a star at either end of a value, or anywhere for that matter.
func glob(value, s string) bool {
	expr := strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, `.*`)
	return s != "" && expression(expr).MatchString(s)
}

func principal(value, id string) bool {
	if rest, ok := strings.CutPrefix(value, "*"); ok && rest != "" {
		i := strings.Index(strings.TrimPrefix(id, "spiffe://"), "/")
		return i >= 0 && strings.HasSuffix(id[len("spiffe://")+i:], rest)
	}
	return glob(value, id)
}

func block(value string, addr netip.Addr) bool {
	if !strings.Contains(value, "/") {
		return value == addr.String()
	}
	return netip.MustParsePrefix(value).Contains(addr)
}

var portPart = regexp.MustCompile(`^([\w.*-]*|\[.*\])(?::(\d*))?$`)

func host(value, s string) bool {
	v, h := portPart.FindStringSubmatch(strings.ToLower(value)), portPart.FindStringSubmatch(strings.ToLower(s))
	return (v[2] == "" || v[2] == h[2]) && glob(v[1], strings.TrimSuffix(h[1], "."))
}

// path compares what the escapes stand for.
func path(value, s string) bool {
	expr := regexp.QuoteMeta(unescaped(value))
	if strings.Contains(value, "{") {
		expr = strings.NewReplacer(`/\{\*\*\}`, `/.*`, `\{\*\}`, `[^/]+`).Replace(expr)
	} else if i := strings.Index(value, "*"); i == 0 { // an escaped star is not one
		expr = ".*" + strings.TrimPrefix(expr, `\*`)
	} else if i > 0 {
		expr = strings.TrimSuffix(expr, `\*`) + ".*"
	}
	return s != "" && expression(expr).MatchString(unescaped(s))
}

// unescaped makes a character of each byte, for regexp wants UTF-8.
func unescaped(s string) string {
	s, _ = url.PathUnescape(s)
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}
