package authz

import (
	"net/netip"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const scheme = "spiffe://"

// parsePrincipal reads a SPIFFE ID or a pattern of one. The trust domain is
// always whole: a prefix of it would match domains of other owners.
func parsePrincipal(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad != nil || p.form == present {
		return p, bad
	}
	if p.form == suffix {
		if err := spiffeid.ValidatePath("/x" + p.text); err != nil {
			return p, wrong("is not the end of a SPIFFE ID's path: "+err.Error(), "write *, *suffix or a whole ID")
		}
		return p, nil
	}
	rest, ok := strings.CutPrefix(p.text, scheme)
	if !ok {
		return p, wrong("does not start with "+scheme, "write "+scheme+"TRUST-DOMAIN/PATH, *suffix or *")
	}
	if p.form == prefix {
		if !strings.Contains(rest, "/") {
			return p, wrong("has a * within the trust domain", "write the whole trust domain and a slash before the *")
		}
		rest += "x" // the prefix of a path need not be one
	}
	if _, err := spiffeid.FromString(scheme + rest); err != nil {
		return p, wrong("is not a SPIFFE ID: "+err.Error(), "write "+scheme+"TRUST-DOMAIN/PATH")
	}
	return p, nil
}

func parseTrustDomain(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad != nil {
		return p, bad
	}
	if !made(p.text, lowerDigits+"-._") {
		return p, wrong("is not a trust domain's name", "write it without scheme and path, in lower case")
	}
	return p, nil
}

func parseNamespace(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad == nil && !made(p.text, lowerDigits+"-") {
		bad = wrong("is not a namespace", "use lower-case letters, digits and dashes")
	}
	return p, bad
}

// accountParser reads "namespace/name", or "name" in the policy's own namespace,
// into the path that such an account's SPIFFE ID has.
func accountParser(own string) func(string) (pattern, *flaw) {
	return func(value string) (pattern, *flaw) {
		namespace, name, both := strings.Cut(value, "/")
		if !both {
			namespace, name = own, value
		}
		switch {
		case name == "" || !made(name, lowerDigits+"-."), both && namespace == "", !made(namespace, lowerDigits+"-"):
			return pattern{}, wrong("is not a service account", "write NAMESPACE/NAME, without *")
		case namespace == "":
			return pattern{}, wrong("has no namespace and neither has the policy", "write NAMESPACE/NAME")
		}
		return pattern{text: accountPath(namespace, name)}, nil
	}
}

// parseBlock reads an address or a CIDR prefix.
func parseBlock(value string) (netip.Prefix, *flaw) {
	if a, err := netip.ParseAddr(value); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(value)
	if err != nil || p.Addr().Is4In6() {
		return p, wrong("is neither an IP address nor a CIDR prefix", "write it as 10.0.0.0/8, 2001:db8::/32 or 10.1.2.3")
	}
	if m := p.Masked(); m != p {
		return p, wrong("has address bits beyond its length", "write "+m.String())
	}
	return p, nil
}

func parsePort(value int) (uint16, *flaw) {
	if value < 1 || value > 65535 {
		return 0, wrong("is not a port", "use a number from 1 to 65535")
	}
	return uint16(value), nil
}

// parseHost reads a host name or a pattern of one, perhaps with a port.
func parseHost(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad != nil {
		return p, bad
	}
	p.text = strings.ToLower(p.text)
	ok := made(p.text, lowerDigits+"-._")
	if p.form != prefix { // the dot that ends a prefix is part of it
		p.text, p.port, ok = splitHost(p.text)
	}
	switch {
	case p.form == prefix && strings.Contains(p.text, ":"):
		return p, wrong("has a * in its port", "write the whole port or none")
	case !ok, p.text == "" && p.form != present:
		return p, wrong("is not a host", "write a name or an address, without scheme and path")
	}
	return p, nil
}

// parseServerName reads a name of a TLS handshake or a pattern of one.
func parseServerName(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad == nil && !made(p.text, lowerDigits+"-._") {
		bad = wrong("is not a server name", "write it in lower case, without a port")
	}
	return p, bad
}

func parseTransport(value string) (pattern, *flaw) {
	if value != "tcp" && value != "quic" {
		return pattern{}, wrong("is not a transport", "write tcp or quic")
	}
	return pattern{text: value}, nil
}

func parseMethod(value string) (pattern, *flaw) {
	p, bad := parsePattern(value)
	if bad != nil {
		return p, bad
	}
	switch {
	case !token(p.text) && p.form != present:
		bad = wrong("is not a method", "write a method such as GET")
	case strings.ToUpper(value) != value:
		bad = suspicious(MethodInLowerCase, "has lower-case letters, and methods are case-sensitive", "write "+strings.ToUpper(value))
	}
	return p, bad
}

const lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"

// made tells whether s consists of such characters only.
func made(s, of string) bool { return strings.Trim(s, of) == "" }

// token is RFC 9110 §5.6.2.
func token(s string) bool {
	return s != "" && made(strings.ToLower(s), lowerDigits+"!#$%&'*+-.^_`|~")
}
