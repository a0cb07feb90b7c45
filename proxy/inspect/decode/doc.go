// Package decode holds the transformations that rules apply to a value before they
// look at it: what attackers hide text behind is removed, what applications decode
// is decoded.
//
// Each does byte for byte what Coraza's transformation of that name does (v3.8.1),
// oddities included, which is compared by fuzzing. They append to a buffer of the
// caller's, so that a value costs no memory of its own. A name that is not here is
// one that nobody may reason about: see [New].
package decode
