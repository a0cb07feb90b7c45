// Package proc reads from Linux what processes cost: CPU time, memory, and
// which processes belong together. Parsers are pure functions over the text of
// /proc files; the readers beside them only open the file.
package proc
