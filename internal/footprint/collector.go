package footprint

import "runtime/debug"

// How much garbage there may be before it is collected, in percent of what is in use.
// The first is Go's own. What inspection has compiled is 25 MiB, of which nothing ever
// becomes garbage: twice that would only be room. With half of it 200 connections that
// each send 64 KiB take 97 MiB instead of 122 and building 61 instead of 72, and the
// collector still runs less often than without inspection.
const (
	usualGarbage  = 100
	sparseGarbage = 50
)

// Collect sets how eager the collector is: more so if a large part of what is in use
// stays. It is for whoever owns the process, and has not been told by GOGC.
func Collect(sparse bool) {
	percent := usualGarbage
	if sparse {
		percent = sparseGarbage
	}
	debug.SetGCPercent(percent)
}
