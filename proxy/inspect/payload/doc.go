// Package payload looks at one value, a parameter, a member of a document or a header
// field, and says what in it is an attack: evidence with its kind, its place and the
// decoding that leads to it, see package clue.
//
// It is pure: no state, no clock, no I/O. Its work is linear in the length of the
// value, and for values in which nothing can be, which are nearly all, it is one pass
// that allocates nothing.
package payload
