package gate

import (
	"strconv"
	"strings"
)

// Clean tells that no rule that counts would match a request. False means that it
// could not be proved.
func (g *Gate) Clean(r *Request) bool {
	if len(g.refused) > 0 {
		return false
	}
	e, _ := g.pool.Get().(*evaluation)
	defer e.release()
	e.poll = poll{stop: r.Stop}
	return e.head(r) && e.body(r)
}

// release forgets a request.
func (e *evaluation) release() {
	clear(e.view.fields)
	clear(e.view.parts)
	e.view = view{fields: e.view.fields[:0], parts: e.view.parts[:0], only: -1}
	e.poll = poll{}
	clear(e.env.set)
	e.env.set = e.env.set[:0]
	clear(e.removed)
	clear(e.exempt)
	e.exempt = e.exempt[:0]
	e.forgiven = false
	e.gate.pool.Put(e)
}

// head proves the first phase, and of the second what is about the head.
func (e *evaluation) head(r *Request) bool {
	r.Header.Each(e.addField)
	if r.Host != "" && !e.hasField("host") {
		e.addField("Host", r.Host)
	}
	if !e.view.readHead(r) {
		return false
	}
	for _, name := range r.Variables {
		e.env.put(strings.ToLower(name), value{text: "1"})
	}
	return e.program(1) && e.singles() && e.headerFields() && e.query(e.view.single[query])
}

func (e *evaluation) hasField(name string) bool {
	for _, f := range e.view.fields {
		if equalFold(name, f.name) {
			return true
		}
	}
	return false
}

func (e *evaluation) program(phase int) bool {
	for _, r := range e.gate.programs[phase] {
		if !e.run(r, &e.env) {
			return false
		}
	}
	return true
}

// singles proves the values of which there is one.
func (e *evaluation) singles() bool {
	for p := line; p < partCount; p++ {
		if p == body || e.gate.kinds[p].Empty() {
			continue
		}
		e.raw = append(e.raw[:0], e.view.value(p)...)
		if !e.clean(kind(p), p, nil, e.raw) {
			return false
		}
	}
	return true
}

// headerFields proves each field, its name and what is in a cookie. What was proved
// before is not proved again.
func (e *evaluation) headerFields() bool {
	for i, f := range e.view.fields {
		if e.gate.memo.has(f) {
			continue
		}
		before := e.forgiven
		e.forgiven = false
		if !e.headerField(i, f) {
			return false
		}
		if !e.forgiven {
			e.gate.memo.add(f)
		}
		e.forgiven = before
	}
	return true
}

func (e *evaluation) headerField(i int, f field) bool {
	e.key, e.value = append(e.key[:0], f.name...), append(e.value[:0], f.value...)
	if !e.clean(e.gate.kindOfField(f.name), header, e.key, e.value) || !e.clean(kind(headerName), headerName, e.key, e.key) {
		return false
	}
	e.view.only = i
	defer func() { e.view.only = -1 }()
	for _, r := range e.gate.fields {
		e.local.set = e.local.set[:0]
		if !e.run(r, &e.local) || e.seen(r.strangers) {
			return false
		}
		// A rule that was taken out may have matched; whether it did is not told.
		e.forgiven = e.forgiven || e.removed.Has(r.place)
	}
	return !equalFold("cookie", f.name) || e.cookies(f.value)
}

// seen tells whether what a chain on one field has set is picked by others.
func (e *evaluation) seen(by []selector) bool {
	for _, s := range by {
		for _, a := range e.local.set {
			if s.picks(a.name) {
				return true
			}
		}
	}
	return false
}

// cookies proves the pairs of a cookie field as the engine cuts them.
func (e *evaluation) cookies(s string) bool {
	for pair := range strings.SplitSeq(trimControls(s), ";") {
		name, v, _ := strings.Cut(trimControls(pair), "=")
		name, v = trimControls(name), trimControls(v)
		if name == "" && v == "" {
			continue
		}
		e.key, e.value = append(e.key[:0], name...), append(e.value[:0], v...)
		if !e.pair(cookie, e.key, e.value) {
			return false
		}
	}
	return true
}

// trimControls removes spaces and control characters at both ends.
func trimControls(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// body proves the second phase.
func (e *evaluation) body(r *Request) bool {
	if r.Processor != "" {
		e.view.single[processor] = r.Processor
	}
	if len(r.Body) > 0 && !e.readBody(r.Body) {
		return false
	}
	if !e.program(2) {
		return false
	}
	e.raw = append(e.raw[:0], e.view.single[body]...)
	return e.clean(kind(body), body, nil, e.raw)
}

// readBody has the arguments of a body proved while they are read.
func (e *evaluation) readBody(b []byte) bool {
	if e.view.single[processor] == "" && e.view.force {
		e.view.single[processor] = "URLENCODED"
	}
	name := e.view.single[processor]
	if name == "" {
		return true
	}
	e.sink = Arguments{e: e, left: e.gate.arguments}
	if strings.EqualFold(name, "JSON") {
		return e.gate.readJSON(b, &e.sink) // which sets no variables of the whole
	}
	read := e.gate.options.Bodies[strings.ToUpper(name)]
	if read == nil || !read(b, &e.sink) || e.sink.dirty {
		return false
	}
	if e.sink.whole {
		e.view.single[body] = string(b)
	}
	if !e.sink.unsized {
		e.view.single[bodyLength] = strconv.Itoa(len(b))
	}
	return true
}
