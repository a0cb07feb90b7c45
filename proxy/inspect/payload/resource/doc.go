// Package resource finds names of things that a service has and its callers have no
// business with, where a value is expected: files of the system, documents of XML that
// pull in others, URLs that reach where HTTP does not or into a cloud's metadata.
package resource
