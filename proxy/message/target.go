package message

import "strings"

// CheckTarget allows the forms of RFC 9112 §3.2 that make sense at a sidecar:
// origin-form, asterisk-form for OPTIONS, authority-form for CONNECT where that
// is configured. The absolute-form belongs to forward proxies.
func CheckTarget[T Text](method, target T, allowConnect bool) *ProtocolError {
	if len(target) == 0 || !All(target, Target) {
		return Violation("the request target holds a byte that is not allowed")
	}
	switch {
	case string(method) == "CONNECT":
		if !allowConnect {
			return &ProtocolError{Kind: MethodRefused, Rule: "CONNECT is not configured here"}
		}
		if !isAuthority(target) {
			return Violation("the target of CONNECT is not host:port")
		}
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return Violation("the target * with a method other than OPTIONS")
		}
	case target[0] != '/':
		return Violation("the request target is not in origin-form")
	case !escapesHold(target):
		return Violation("the path holds a percent sign that is not an escape")
	}
	return nil
}

// CutTarget cuts a request target at its first '?'. hasQuery tells "/?" from "/".
func CutTarget(target string) (path, query string, hasQuery bool) { return strings.Cut(target, "?") }

// escapesHold tells whether every '%' of the path begins an escape (RFC 3986
// §2.1). Queries are left alone: much that is alive sends them half-escaped.
func escapesHold[T Text](target T) bool {
	for i := range len(target) {
		switch target[i] {
		case '?':
			return true
		case '%':
			if len(target) < i+3 {
				return false
			}
			_, high := HexDigit(target[i+1])
			_, low := HexDigit(target[i+2])
			if !high || !low {
				return false
			}
		}
	}
	return true
}

// HexDigit is the value of a hexadecimal digit.
func HexDigit(b byte) (byte, bool) {
	switch {
	case b >= '0' && b <= '9':
		return b - '0', true
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return b | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// isAuthority tells whether s is host ":" port (RFC 9110 §7.2).
func isAuthority[T Text](s T) bool {
	name, port := splitHost(s)
	return isHostName(name) && len(port) > 1 && isPort(port)
}

// IsHost tells whether s can be a Host value: uri-host [ ":" port ] (RFC 9110
// §7.2), with a name, without userinfo and escapes, and without an empty port:
// who compares hosts must not have to undo any of these.
func IsHost[T Text](s T) bool {
	name, port := splitHost(s)
	return isHostName(name) && (len(port) == 0 || isPort(port))
}

// splitHost cuts s in front of the colon that a port follows.
func splitHost[T Text](s T) (name, port T) {
	bracketed := len(s) > 0 && s[0] == '['
	for i := range len(s) {
		switch {
		case s[i] == ']':
			bracketed = false
		case s[i] == ':' && !bracketed:
			return s[:i], s[i:]
		}
	}
	return s, s[len(s):]
}

// isHostName tells whether s is a reg-name, an IPv4 address or a bracketed IPv6
// address without a zone.
func isHostName[T Text](s T) bool {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return All(s[1:len(s)-1], addressByte)
	}
	return len(s) > 0 && All(s, hostByte)
}

// isPort tells whether s is a colon and a port number.
func isPort[T Text](s T) bool {
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= len(":65535")
}
