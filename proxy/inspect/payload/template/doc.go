// Package template finds expressions that a template engine, an expression language or
// a logging library would evaluate, where a value is expected.
//
// Placeholders are everyday content: dashboards, mails, charts and pipelines are full
// of {{ name }} and ${NAME}. So what counts is what is between the delimiters: sums of
// constants, which only prove that something computes them; the names by which the
// runtime is reached; directives. Lookups of logging libraries are resolved first, as
// they are written into each other to hide their names.
package template
