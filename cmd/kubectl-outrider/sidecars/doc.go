// Package sidecars asks running sidecars, and the control plane, what they know of
// themselves, through the ports of their pods. Every answer has a bound and every
// question a deadline; what comes back is foreign and is read as such.
package sidecars
