package wire

import (
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// Rules say what of a request is not as it was written.
type Rules struct {
	// Host is sent in place of the sample's; empty: the sample keeps its own, one,
	// several or none.
	Host string
	// Trace is a W3C traceparent to send; empty: none. A valid one of the sample
	// gives way to it. One that is not valid may be what the sample is about: it
	// stays, and Trace is not sent.
	Trace string
}

// A Message is a request as it goes over the wire.
type Message struct {
	Bytes []byte
	// Method decides how the answer is read.
	Method string
	// Adjusted tells that bytes of the target were escaped or bytes of a field
	// replaced, because no sender may send them.
	Adjusted bool
	// Traced tells that the message carries Rules.Trace.
	Traced bool
}

// Render writes a sample as HTTP/1.1. Body and target stay as they are, and so do
// fields that do not say how the message is framed.
func Render(s *corpus.Sample, r Rules) Message {
	w := writer{m: Message{Method: s.Method}}
	w.m.Traced = r.Trace != "" && !slices.ContainsFunc(s.Header, isOddTrace)
	w.m.Bytes = make([]byte, 0, 512+len(s.Target)+len(s.Body))
	w.add(s.Method, " ")
	w.target(s.Target)
	w.add(" HTTP/1.1\r\n")
	w.fields(s.Header, r)
	if w.m.Traced {
		w.field("traceparent", r.Trace)
	}
	if len(s.Body) > 0 || promisesBody(s.Method) {
		w.field("Content-Length", strconv.Itoa(len(s.Body)))
	}
	w.add("\r\n")
	w.m.Bytes = append(w.m.Bytes, s.Body...)
	return w.m
}

type writer struct{ m Message }

func (w *writer) add(texts ...string) {
	for _, text := range texts {
		w.m.Bytes = append(w.m.Bytes, text...)
	}
}

// target escapes what would end the request line or its parts (RFC 9112 §3.2),
// byte by byte.
func (w *writer) target(target string) {
	const digits = "0123456789ABCDEF"
	for i := range len(target) {
		c := target[i]
		if c > ' ' && c != 0x7f {
			w.m.Bytes = append(w.m.Bytes, c)
			continue
		}
		w.m.Bytes = append(w.m.Bytes, '%', digits[c>>4], digits[c&15])
		w.m.Adjusted = true
	}
}

// fields writes the sample's own, with the host in the place of its first.
func (w *writer) fields(fields []corpus.Field, r Rules) {
	isHost := func(f corpus.Field) bool { return canonical(f.Name) == "Host" }
	if r.Host != "" && !slices.ContainsFunc(fields, isHost) {
		w.field("Host", r.Host)
	}
	hosted := false
	for _, f := range fields {
		switch name := canonical(f.Name); {
		case name == "Host" && r.Host != "":
			if !hosted {
				w.field("Host", r.Host)
			}
			hosted = true
		case framing(name), name == "Traceparent" && w.m.Traced:
		default:
			w.field(f.Name, f.Value)
		}
	}
}

// field replaces control bytes of a value by spaces, as RFC 9110 §5.5 tells a
// recipient to.
func (w *writer) field(name, value string) {
	w.add(name, ": ")
	at := len(w.m.Bytes)
	w.add(value, "\r\n")
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			w.m.Bytes[at+i] = ' '
			w.m.Adjusted = true
		}
	}
}

// canonical is the usual spelling of a field's name.
func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// framing tells whether a field is about the message or the connection it came
// on, and not about the request: the hop-by-hop fields of RFC 9110 §7.6.1, and the
// ones that announce a body. Fields that Connection names are sent: once it is
// gone they are like any other.
func framing(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// promisesBody tells whether a request without a body says so (RFC 9110 §8.6).
func promisesBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// isOddTrace tells whether a field is a traceparent in which something else stands.
func isOddTrace(f corpus.Field) bool {
	return canonical(f.Name) == "Traceparent" && !validTrace(f.Value)
}

// validTrace tells whether a value has the form of a traceparent of version 00:
// 32, 16 and 2 hexadecimal digits (W3C Trace Context §3.2).
func validTrace(value string) bool {
	parts := strings.Split(value, "-")
	if len(parts) != 4 {
		return false
	}
	for i, length := range []int{2, 32, 16, 2} {
		if len(parts[i]) != length || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}
