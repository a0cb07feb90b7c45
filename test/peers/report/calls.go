package report

import (
	"fmt"
	"strings"
)

// Calls is the fourth part: hops that carry gRPC.
type Calls struct {
	// Peers hold who took part, Absent who did not, with the reason.
	Peers    []Peer            `json:"peers"`
	Absent   map[string]string `json:"absent,omitempty"`
	Fairness []string          `json:"fairness"`
	// Closed is what a call costs each, compared with the sidecar that most people
	// run.
	Closed  Cell     `json:"closed_loop"`
	Memory  []Memory `json:"memory"`
	Samples []Sample `json:"samples"`
}

// Sum sums the samples up, which are of one load.
func (c *Calls) Sum(peers []string) {
	if cells := Summarise(c.Samples, peers, []string{heavyweight}); len(cells) > 0 {
		c.Closed = cells[0]
	}
}

// writeText writes the part for a terminal.
func (c *Calls) writeText(b *strings.Builder) {
	b.WriteString("gRPC: what a unary call costs\n\n")
	writePeers(b, c.Peers, c.Absent)
	for _, line := range c.Fairness {
		fmt.Fprintf(b, "  - %s\n", line)
	}
	b.WriteByte('\n')
	c.Closed.sheet().text(b)
	memorySheet(c.Memory).text(b)
}

// markdown writes it for a page.
func (c *Calls) markdown(b *strings.Builder) {
	b.WriteString("### gRPC: what a unary call costs\n\n")
	markdownPeers(b, c.Peers, c.Absent)
	markdownList(b, c.Fairness)
	c.Closed.sheet().markdown(b, 1)
	memorySheet(c.Memory).markdown(b, 1)
}
