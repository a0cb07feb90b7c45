// Package message is what the HTTP engines have in common, whatever the version:
// which bytes a name, a value or a target may hold, what a field means to a
// proxy, which targets are refused, what a stage may change, and how it is said
// that a message or an exchange went wrong.
//
// There is one copy of it because two would drift: a field that one engine strips
// and the other passes on is a way around whoever relies on it.
package message
