// Package wire sends recorded requests over HTTP/1.1 and reads what became of
// them. A request goes out as it was written, as far as framing allows; the answer
// is read within bounds, and what an Outrider says in it is taken out.
package wire
