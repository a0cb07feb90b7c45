package inspect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A coding is how a body, or a message of a call, is compressed.
type coding uint8

const (
	noCoding coding = iota
	gzipCoding
	brotliCoding
	zstdCoding
	unknownCoding
)

// bodyCoding reads content-encoding (RFC 9110 §8.4). Several codings one upon the
// other are unknown: nobody sends them but who wants them to be undone elsewhere.
func bodyCoding(h flow.Header) coding {
	if _, ok := h.Get("content-encoding"); !ok {
		return noCoding
	}
	found := noCoding
	h.Each(func(name, value string) bool {
		if !strings.EqualFold(name, "content-encoding") {
			return true
		}
		switch c := contentCoding(value); {
		case c == noCoding:
		case found != noCoding:
			found = unknownCoding
		default:
			found = c
		}
		return found != unknownCoding
	})
	return found
}

func contentCoding(value string) coding {
	value = strings.Trim(value, " \t")
	switch {
	case isIdentity(value):
		return noCoding
	case strings.EqualFold(value, "gzip"), strings.EqualFold(value, "x-gzip"):
		return gzipCoding
	case strings.EqualFold(value, "br"):
		return brotliCoding
	case strings.EqualFold(value, "zstd"):
		return zstdCoding
	}
	return unknownCoding
}

func isIdentity(coding string) bool {
	coding = strings.Trim(coding, " \t")
	return coding == "" || strings.EqualFold(coding, "identity")
}

// codingOf reads grpc-encoding, which tells how those messages are compressed that
// say they are.
func codingOf(h flow.Header) coding {
	name, _ := h.Get("grpc-encoding")
	switch {
	case isIdentity(name):
		return noCoding
	case strings.EqualFold(strings.Trim(name, " \t"), "gzip"):
		return gzipCoding
	}
	return unknownCoding
}
