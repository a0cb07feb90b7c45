package flow

import "strings"

// Fields are a [Header] by themselves, for those who have no head of an engine, or keep
// one longer than it lasts: names and values, in order of arrival.
type Fields [][2]string

// CopyOf returns the fields of a header, which may be used no longer than its request.
func CopyOf(h Header) Fields {
	var all Fields
	h.Each(func(name, value string) bool {
		all = append(all, [2]string{name, value})
		return true
	})
	return all
}

// Get implements [Header].
func (f Fields) Get(name string) (string, bool) {
	for _, field := range f {
		if strings.EqualFold(field[0], name) {
			return field[1], true
		}
	}
	return "", false
}

// Each implements [Header].
func (f Fields) Each(yield func(name, value string) bool) {
	for _, field := range f {
		if !yield(field[0], field[1]) {
			return
		}
	}
}
