// Package seclang reads SecLang, the language of the rule sets, into values: which
// variables a rule looks at, what it does to them, what it compares them with and
// what follows from a match.
//
// It reads what Coraza's parser has accepted and means by it what that parser means
// (v3.8.1), and it promises one thing above all: what it does not understand is an
// error, or a [Rule] that says so, and is never left out. Whoever reasons about a
// rule set must know all of it.
//
// It evaluates nothing, reads no files and knows no engine.
package seclang
