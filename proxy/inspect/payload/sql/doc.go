// Package sql finds pieces of SQL where a value is expected.
//
// A value is cut into tokens three times: as it is, and as it would be read behind the
// first quote of each kind, since that is where an attacker's text begins to be SQL.
// What is looked for are shapes of tokens, so spaces, comments, letters' case and the
// ways to write a constant make no difference. Words by themselves are nothing: people
// select, order and drop things in plain English.
package sql
