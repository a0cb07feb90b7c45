package report

import (
	"fmt"
	"strings"
)

// writeText writes the third part for a terminal.
func (i *Inspection) writeText(b *strings.Builder) {
	b.WriteString("Inspection: the inbound side looks for attacks in every request\n\n")
	writePeers(b, i.Peers, i.Absent)
	for _, line := range i.Fairness {
		fmt.Fprintf(b, "  - %s\n", line)
	}
	b.WriteByte('\n')
	i.summary().text(b)
	for _, req := range i.Requests {
		req.Closed.sheet().text(b)
		if req.Open != nil {
			req.Open.sheet().text(b)
		}
	}
	memorySheet(i.Memory).text(b)
}
