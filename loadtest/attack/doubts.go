package attack

import (
	"maps"
	"net"
	"slices"
	"strings"
)

// doubts says what would mislead whoever reads the figures alone.
func (s *summary) doubts() {
	r := s.report
	if r.Corpus.Attacks == 0 {
		r.doubt("the corpus holds no attacks: nothing is known about detection")
	}
	if r.Corpus.Benign == 0 {
		r.doubt("the corpus holds no benign requests: nothing is known about false positives")
	}
	if isAddress(r.Settings.Host) {
		r.doubt("the Host that is sent is the address %s, which rule sets score in every request; send the service's own with --host", r.Settings.Host)
	}
	if d := r.Detection; d.Count == 0 && d.Of > 0 {
		r.doubt("not one attack was stopped: is there a WAF, and does it block? A policy in mode Detect is measured from the access log")
	}
	if s.unsent > 0 {
		r.doubt("%s not sent, since %d connections in a row had failed", plural(s.unsent, "sample was", "samples were"), giveUpAfter)
	}
	denied := map[string]int{}
	for _, e := range r.Unclear {
		if e.Outcome == Unclear {
			denied[e.Why]++
		}
	}
	for _, why := range slices.Sorted(maps.Keys(denied)) {
		r.doubt("%s got an answer that says nothing about the WAF: %s", count(denied[why], "sample"), why)
	}
	for _, why := range slices.Sorted(maps.Keys(s.uninspected)) {
		r.doubt("%s passed without having been inspected in full: %s", count(s.uninspected[why], "sample"), why)
	}
}

// isAddress tells whether a Host is an IP address, with or without a port.
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return net.ParseIP(strings.Trim(host, "[]")) != nil
}
