package main

import "fmt"

// A shape is a kind of policies: n rules that allow, each for callers of its own,
// and one that denies.
type shape struct {
	name, what string
	// byPrefix tells that a rule is for all callers of a namespace, by the start
	// of their ID, and not for one caller.
	byPrefix bool
}

func shapes() []shape {
	return []shape{
		{name: "callers", what: "each rule names one caller"},
		{name: "namespaces", what: "each rule names the callers of a namespace, by the start of their ID", byPrefix: true},
	}
}

// What every rule asks for besides its callers, and whom the one Deny is about.
const (
	port   = 8080
	exact  = "/v1/charges"
	below  = "/v1/charges/"
	domain = "spiffe://cluster.local"
	guests = domain + "/ns/guests/"
)

// principal is whom rule i is for; with byPrefix, the start of their IDs.
func (s shape) principal(i int) string {
	if s.byPrefix {
		return fmt.Sprintf("%s/ns/team-%d/", domain, i)
	}
	return fmt.Sprintf("%s/ns/shop/sa/caller-%d", domain, i)
}

// A call is one request to decide about.
type call struct {
	principal, method, path string
	port                    int
	allowed                 bool
}

// calls are what is decided: three quarters are allowed, by rules from the first to
// the last, the others denied for different reasons.
func (s shape) calls(n int) (all []call) {
	const count = 64
	for k := range count {
		rule := k * (n - 1) / (count - 1)
		c := call{principal: s.principal(rule), method: "POST", path: below + "17", port: port, allowed: true}
		if s.byPrefix {
			c.principal += "sa/checkout"
		}
		switch k % 16 {
		case 1:
			c.principal, c.allowed = domain+"/ns/elsewhere/sa/stranger", false
		case 5:
			c.method, c.allowed = "DELETE", false
		case 9:
			c.path, c.allowed = "/v2/charges", false
		case 13:
			c.principal, c.allowed = guests+"sa/guest", false
		case 2, 6, 10, 14:
			c.method, c.path = "GET", exact
		}
		all = append(all, c)
	}
	return all
}
