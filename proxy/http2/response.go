package http2

import "github.com/outrider-mesh/outrider/proxy/message"

// response is a response head.
type response struct {
	head
	Status int
}

// read takes a complete head, and gives its storage for it.
func (r *response) read(h *head) *message.ProtocolError {
	r.head, *h = *h, r.head
	h.reset()
	if r.broken == nil {
		r.broken = r.check()
	}
	return r.broken
}

func (r *response) reset() {
	r.head.reset()
	r.Status = 0
}

// check applies the rules that concern the head as a whole (RFC 9113 §8.3.2).
func (r *response) check() *message.ProtocolError {
	code := r.pseudo[statusField]
	if len(code) != 3 {
		return message.Violation("no :status, or one that is not three digits")
	}
	n, ok := message.ParseLength(code)
	switch {
	case !ok:
		return message.Violation("no :status, or one that is not three digits")
	case n < 100 || n > 599:
		return message.Violation("the status code is out of range")
	case n == 101:
		return message.Violation("a 101 in HTTP/2") // RFC 9113 §8.6
	case (n < 200 || n == 204) && r.lengths > 0 && r.length != 0:
		return message.Violation("content-length in a response without a body")
	}
	r.Status = int(n)
	return nil
}

// interim tells whether a final response is still to come.
func (r *response) interim() bool { return r.Status < 200 }

// bodiless tells whether an answer to method has no body whatever it says.
func (r *response) bodiless(method string) bool {
	return method == "HEAD" || r.Status == 204 || r.Status == 304
}
