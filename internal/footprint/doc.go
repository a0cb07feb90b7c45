// Package footprint keeps the memory of a process small that does much at its start
// and then the same few things for ever.
package footprint
