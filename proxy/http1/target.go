package http1

import "bytes"

// checkTarget allows the forms of RFC 9112 §3.2 that make sense at a sidecar:
// origin-form, asterisk-form for OPTIONS, authority-form for CONNECT where that
// is configured. The absolute-form belongs to forward proxies.
func checkTarget(method, target []byte, rules requestRules) *ProtocolError {
	if len(target) == 0 || !all(target, targetByte) {
		return malformed("the request target holds a byte that is not allowed")
	}
	switch {
	case string(method) == "CONNECT":
		if !rules.allowConnect {
			return &ProtocolError{Kind: MethodRefused, Rule: "CONNECT is not configured here"}
		}
		if !isAuthority(target) {
			return malformed("the target of CONNECT is not host:port")
		}
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return malformed("the target * with a method other than OPTIONS")
		}
	case target[0] != '/':
		return malformed("the request target is not in origin-form")
	case !escapesHold(target):
		return malformed("the path holds a percent sign that is not an escape")
	}
	return nil
}

// escapesHold tells whether every '%' of the path begins an escape (RFC 3986
// §2.1). Queries are left alone: much that is alive sends them half-escaped.
func escapesHold(target []byte) bool {
	if bytes.IndexByte(target, '%') < 0 {
		return true
	}
	path, _, _ := bytes.Cut(target, []byte{'?'})
	for i := range path {
		if path[i] != '%' {
			continue
		}
		if len(path) < i+3 {
			return false
		}
		_, high := hexDigit(path[i+1])
		_, low := hexDigit(path[i+2])
		if !high || !low {
			return false
		}
	}
	return true
}

// isAuthority tells whether b is host ":" port (RFC 9110 §7.2).
func isAuthority(b []byte) bool {
	name, port := splitHost(b)
	return isHostName(name) && len(port) > 1 && isPort(port)
}

// isHost tells whether b can be a Host value: uri-host [ ":" port ] (RFC 9110
// §7.2), with a name, without userinfo and escapes, and without an empty port:
// who compares hosts must not have to undo any of these.
func isHost(b []byte) bool {
	name, port := splitHost(b)
	return isHostName(name) && (len(port) == 0 || isPort(port))
}

// splitHost cuts b in front of the colon that a port follows.
func splitHost(b []byte) (name, port []byte) {
	from := 0
	if len(b) > 0 && b[0] == '[' {
		from = bytes.IndexByte(b, ']') + 1
	}
	if colon := bytes.IndexByte(b[from:], ':'); colon >= 0 {
		return b[:from+colon], b[from+colon:]
	}
	return b, nil
}

// isHostName tells whether b is a reg-name, an IPv4 address or a bracketed IPv6
// address without a zone.
func isHostName(b []byte) bool {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		return all(b[1:len(b)-1], addressByte)
	}
	return len(b) > 0 && all(b, hostByte)
}

// isPort tells whether b is a colon and a port number.
func isPort(b []byte) bool {
	for _, d := range b[1:] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(b) >= 2 && len(b) <= len(":65535")
}
