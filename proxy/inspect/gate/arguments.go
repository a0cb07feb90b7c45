package gate

// Arguments takes the arguments of a body, each as soon as it is known.
type Arguments struct {
	e *evaluation
	// left is how many more there may be.
	left int
	// dirty tells that one of them could not be proved.
	dirty bool
	// whole tells that the body is a variable, too, and unsized that its length is none.
	whole, unsized bool
}

// Add takes one argument and tells whether to go on. Neither string is kept.
func (a *Arguments) Add(name, value string) bool {
	a.e.key = append(a.e.key[:0], name...)
	a.e.value = append(a.e.value[:0], value...)
	return a.add(a.e.key, a.e.value)
}

// AddAt is Add for a name that is only lent.
func (a *Arguments) AddAt(name []byte, value string) bool {
	a.e.value = append(a.e.value[:0], value...)
	return a.add(name, a.e.value)
}

// add is Add. The last argument that the engine would keep is left to it.
func (a *Arguments) add(name, value []byte) bool {
	if a.left--; a.left <= 0 {
		a.dirty = true
		return false
	}
	return a.prove(name, value)
}

func (a *Arguments) prove(name, value []byte) bool {
	a.dirty = a.dirty || a.e.poll.ended(len(name)+len(value)) || !a.e.pair(argPost, name, value)
	return !a.dirty
}

// Whole says that the engine makes the body a variable.
func (a *Arguments) Whole() { a.whole = true }

// query proves the pairs of a query as the engine cuts and decodes them.
func (e *evaluation) query(s string) bool {
	left := e.gate.arguments
	for s != "" {
		var pair string
		pair, s = cutByte(s, '&')
		if pair == "" {
			continue
		}
		if left--; left <= 0 {
			return false
		}
		name, v := cutByte(pair, '=')
		e.key = unescape(e.key[:0], name)
		e.value = unescape(e.value[:0], v)
		if !e.pair(argGet, e.key, e.value) {
			return false
		}
	}
	return true
}

// pair proves a value and its name, whose part is the next but one.
func (e *evaluation) pair(p part, name, v []byte) bool {
	return e.clean(kind(p), p, name, v) && e.clean(kind(nameOf(p)), nameOf(p), name, name)
}

// nameOf is the part of a value's name.
func nameOf(p part) part {
	switch p {
	case argGet:
		return argGetName
	case argPost:
		return argPostName
	default:
		return cookieName
	}
}

func cutByte(s string, c byte) (before, after string) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unescape decodes %41 and +; what is no escape stays.
func unescape(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c = hexByte(s[i+1 : i+3])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}
