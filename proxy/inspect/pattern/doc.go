// Package pattern computes from an expression what a value must have for the
// expression to match it: kinds of bytes, see [Need], and texts of which one must
// be there, see [Literals]. Both are necessary and not sufficient. An [Automaton]
// looks for the texts of many expressions in one pass.
//
// The reasoning is about Go's regular expressions (RE2), whose syntax tree the
// standard library gives. It takes case for nothing: letters that fold into each
// other count as one. Two characters beyond ASCII fold into it, the Kelvin sign and
// the long s; see [Folds].
package pattern
