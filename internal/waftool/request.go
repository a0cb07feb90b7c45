package waftool

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

var errNoRequest = errors.New("does not begin with a request line such as GET /path HTTP/1.1")

// parse reads a request as it is recorded or written by hand: lines may end in LF, and
// Content-Length need not be right. What a sidecar's HTTP engine would refuse before
// inspection is read all the same.
func parse(raw []byte, caller string) (*flow.Request, []byte, error) {
	head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if lf, rest, found := bytes.Cut(raw, []byte("\n\n")); found && (!ok || len(lf) < len(head)) {
		head, body = lf, rest
	}
	lines := strings.Split(strings.ReplaceAll(string(head), "\r\n", "\n"), "\n")
	method, rest, _ := strings.Cut(strings.TrimRight(lines[0], "\n"), " ")
	i := strings.LastIndexByte(rest, ' ')
	if method == "" || i < 0 || !strings.HasPrefix(rest[i+1:], "HTTP/") {
		return nil, nil, errNoRequest
	}
	var h flow.Fields
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h = append(h, [2]string{name, strings.Trim(value, " \t")})
		}
	}
	if coding, _ := h.Get("transfer-encoding"); strings.EqualFold(coding, "chunked") {
		body = unchunk(body)
	}
	return describe(method, rest[:i], rest[i+1:], caller, h), body, nil
}

func describe(method, target, proto, caller string, h flow.Fields) *flow.Request {
	path, query, _ := strings.Cut(target, "?")
	if normal, err := authz.NormalizePath(path); err == nil {
		path = normal
	}
	req := &flow.Request{
		Conn: &flow.Connection{
			Remote:      netip.MustParseAddrPort("192.0.2.1:40000"), // for documentation, RFC 5737
			Destination: netip.MustParseAddrPort("192.0.2.2:8080"),
			PeerID:      caller,
		},
		Method: method, Target: target, Path: path, Query: query, Proto: proto, Header: h,
	}
	req.Host, _ = h.Get("host")
	return req
}

// unchunk undoes chunks (RFC 9112 §7.1); what is not chunked stays as it is.
func unchunk(b []byte) []byte {
	var out []byte
	for rest := b; ; {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		size, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		switch {
		case !ok || err != nil || n > uint64(len(after)):
			return b
		case n == 0:
			return out
		}
		out = append(out, after[:n]...)
		rest = bytes.TrimLeft(after[n:], "\r\n")
	}
}
