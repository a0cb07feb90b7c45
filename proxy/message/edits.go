package message

import (
	"bytes"
	"strings"
)

// Edits are the changes to a request on its way to the next hop.
type Edits struct {
	// Path replaces the path of the target, its query kept; empty keeps it.
	Path string
	// DefaultHost is the Host of an HTTP/1.0 request that came without.
	DefaultHost string
	// Fields are complete field lines, CRLF included, added at the end.
	Fields [][]byte
}

// WellFormed tells whether the edits leave one request of a request for path.
// hostless tells that it came without a Host.
func (e *Edits) WellFormed(path string, hostless bool) bool {
	if e.Path != "" && e.Path != path &&
		(e.Path[0] != '/' || strings.IndexByte(e.Path, '?') >= 0 || !All(e.Path, Target)) {
		return false
	}
	if hostless && !All(e.DefaultHost, Value) {
		return false
	}
	for _, line := range e.Fields {
		// An LF and a CR, and both at the end.
		if n := len(line); n < 3 || bytes.IndexByte(line, '\n') != n-1 || bytes.IndexByte(line, '\r') != n-2 {
			return false
		}
	}
	return true
}
