// Package engines measures inspection by itself, in this process: stock Coraza with the
// core rule set, and Outrider's inspection under each profile, as the sidecar asks it.
// Their requests and bounds are the same, and they take turns.
//
// CPU time is that of the whole process, so that the collection of an engine's garbage
// is part of what it costs.
package engines
