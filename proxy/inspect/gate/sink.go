package gate

import "strings"

// What a reader of bodies asks of a request, and tells of a body besides its arguments.

// Type is the content type by which the engine reads the body; empty for none.
func (a *Arguments) Type() string {
	for _, f := range a.e.view.fields {
		if strings.EqualFold(f.name, "content-type") {
			return f.value
		}
	}
	return ""
}

// Partial tells that the body is only a prefix.
func (a *Arguments) Partial() bool { return a.e.view.single[partial] == "1" }

// Broken says that the engine finds the body broken, and tells whether that is to be
// expected: of a prefix it is.
func (a *Arguments) Broken() bool {
	a.e.view.single[bodyError] = "1"
	return a.Partial()
}

// Unsized says that the engine does not make the body's length a variable.
func (a *Arguments) Unsized() { a.unsized = true }

// XML takes a value of the variable of that name.
func (a *Arguments) XML(key, value string) bool { return a.member(xmlValue, key, value) }

// A Part is one of a form, as the engine keeps it.
type Part struct {
	// Name is that of the part, File that of the file it is; empty for a field.
	Name, File string
	// Header are its header fields, each as "Name: value".
	Header []string
	// Size is that of the content, in bytes, in digits.
	Size string
}

// Part takes what rules can see of a part besides its content.
func (a *Arguments) Part(p Part) bool {
	for _, h := range p.Header {
		a.e.view.parts = append(a.e.view.parts, field{p.Name, h})
		if !a.member(partHeader, p.Name, h) {
			return false
		}
	}
	if !a.member(partName, p.Name, p.Name) {
		return false
	}
	return p.File == "" || a.member(partFile, p.Name, p.File) && a.member(file, "", p.File) &&
		a.member(fileName, "", p.Name) && a.member(fileSize, p.File, p.Size)
}

// FilesSize takes the size of all parts.
func (a *Arguments) FilesSize(digits string) { a.e.view.single[filesSize] = digits }

// member proves a value of a collection that only some bodies have.
func (a *Arguments) member(p part, key, v string) bool {
	e := a.e
	e.view.values[p]++
	if e.gate.kinds[p].Empty() {
		return !a.dirty
	}
	e.key, e.value = append(e.key[:0], key...), append(e.value[:0], v...)
	a.dirty = a.dirty || !e.clean(kind(p), p, e.key, e.value)
	return !a.dirty
}
