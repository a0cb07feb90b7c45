package main

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// header is the head of a sample.
func header(s *corpus.Sample) flow.Fields {
	h := make(flow.Fields, len(s.Header))
	for i, f := range s.Header {
		h[i] = [2]string{f.Name, f.Value}
	}
	return h
}

// requestOf makes of a sample what the HTTP engine would. The target may be a whole
// URL, as recorders of proxies write it.
func requestOf(s *corpus.Sample) *flow.Request {
	h := header(s)
	host, _ := h.Get("host")
	target := s.Target
	if u, err := url.Parse(target); err == nil && u.IsAbs() && u.Host != "" {
		host = u.Host
		target = strings.TrimPrefix(target, u.Scheme+"://"+u.Host)
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if host == "" {
		host = "app.shop.svc" // whoever replays it would send one
	}
	path, query, _ := strings.Cut(target, "?")
	return &flow.Request{
		Conn: &flow.Connection{
			Remote:      netip.MustParseAddrPort("10.1.2.3:41000"),
			Destination: netip.MustParseAddrPort("10.1.2.4:8080"),
		},
		Method: s.Method, Target: target, Path: path, Query: query,
		Host: host, Header: h, Proto: "HTTP/1.1",
	}
}
