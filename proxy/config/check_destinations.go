package config

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// destinationEndpoints checks where a destination is, and who it may be there.
func (c *checker) destinationEndpoints(at string, d Destination) {
	all := d.AllEndpoints()
	if len(all) == 0 {
		c.bad(at+".addresses", "is missing or empty", "name at least one ip:port")
	}
	nameless := len(all) == 0
	for i, e := range all {
		field := d.addressField(at, i)
		c.target(field, e.Address)
		if slices.ContainsFunc(all[:i], func(o DestinationEndpoint) bool { return o.Address == e.Address }) {
			c.bad(field, fmt.Sprintf("%q is repeated", clipped(e.Address)), "keep one of them")
		}
		nameless = nameless || len(e.SPIFFEIDs) == 0
	}
	if nameless && len(d.SPIFFEIDs) == 0 {
		c.bad(at+".spiffeIDs", "is missing or empty", "name at least one identity the server must have")
	}
	c.spiffeIDs(at+".spiffeIDs", d.SPIFFEIDs)
	for i, e := range d.Endpoints {
		c.spiffeIDs(strict.Index(at+".endpoints", i)+".spiffeIDs", e.SPIFFEIDs)
	}
}

// addressField is where the address of the i-th of AllEndpoints stands.
func (d Destination) addressField(at string, i int) string {
	if i >= len(d.Addresses) {
		return strict.Index(at+".endpoints", i-len(d.Addresses)) + ".address"
	}
	return strict.Index(at+".addresses", i)
}

const (
	// maxAttempts is more than helps: an endpoint that is well answers the first
	// or the second time.
	maxAttempts = 5
	// leastRetried is the least status that says that something failed.
	leastRetried = http.StatusInternalServerError
)

// resilience checks what becomes of calls that fail.
func (c *checker) resilience(at string, d Destination) {
	c.nonNegative(at, d)
	r := d.Retry
	if r == nil {
		return
	}
	at += ".retry"
	if r.Attempts < 1 || r.Attempts > maxAttempts {
		c.bad(at+".attempts", fmt.Sprintf("%d is out of range", r.Attempts), fmt.Sprintf("write 1 to %d", maxAttempts))
	}
	if r.BudgetPercent < 1 || r.BudgetPercent > 100 {
		c.bad(at+".budgetPercent", fmt.Sprintf("%d is not a share", r.BudgetPercent), "write 1 to 100")
	}
	for i, s := range r.Statuses {
		if s != http.StatusTooManyRequests && (s < leastRetried || s > 599) {
			c.bad(strict.Index(at+".statuses", i), fmt.Sprintf("%d does not tell of a failure that may pass", s), "write 429, or 500 to 599")
		}
	}
	for i, m := range r.Methods {
		if !isToken(m) || m == http.MethodConnect {
			c.bad(strict.Index(at+".methods", i), fmt.Sprintf("%q is not a method to send again", clipped(m)), "write one such as POST")
		}
	}
}

// isToken tells whether s is upper-case letters, as all registered methods are
// (RFC 9110 §16.1), with '-' in a few.
func isToken(s string) bool {
	for _, b := range []byte(s) {
		if (b < 'A' || b > 'Z') && b != '-' {
			return false
		}
	}
	return s != ""
}
