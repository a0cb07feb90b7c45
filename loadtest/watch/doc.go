// Package watch reads from Linux what is being measured costs: CPU time and
// memory of processes or control groups, which processes belong together, and
// what the machine is. Parsers are pure functions over the text of /proc and
// cgroup files; the readers beside them only open the file.
package watch
