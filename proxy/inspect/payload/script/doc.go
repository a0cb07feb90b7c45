// Package script finds scripts for browsers where a value is expected: markup that
// runs them, and JavaScript that breaks out of the text it is put into.
//
// Markup is read as browsers read it, which forgive nearly everything: a slash
// separates attributes, quotes are optional, control characters in a scheme are
// dropped. Of JavaScript it looks for what is written to dodge filters, such as
// members by computed names and programs of nothing but punctuation, and for the few
// calls that attackers prove their point with. Markup without scripts, and source code
// that somebody writes about, are everyday content of tickets, mails and chats.
package script
