// Package feed brings policy documents to the sidecar and keeps the last good
// set.
//
// A [Directory] reads every document file of a directory, parses all of them
// together and offers them to the sidecar as one set. Only when all are valid
// and the sidecar accepts them (rule sets have to compile) does the set take
// the place of the one before; otherwise that one stays in force, however long
// it takes, and [Status] says why and since when.
//
// Changes are noticed by the kernel's notice and, since that gets lost on
// network file systems, on exhausted inotify limits and when the directory
// itself is replaced, by looking again every interval. Either way contents
// decide, not time stamps, and only contents that two reads agree on, so that a
// half-written file or a ConfigMap in the middle of its swap is not taken for
// what somebody meant.
package feed
