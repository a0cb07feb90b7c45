package report

import (
	"fmt"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/page"
)

// Held is the fifth part: what the inbound side of a hop holds while it inspects.
type Held struct {
	Peers  []Peer            `json:"peers"`
	Absent map[string]string `json:"absent,omitempty"`
	// Connections send a body of so many Bytes each, again and again for Seconds.
	Connections int      `json:"connections"`
	Bytes       int      `json:"body_bytes"`
	Seconds     float64  `json:"seconds"`
	Holders     []Holder `json:"holders"`
}

// Holder is one program, with resident memory in bytes.
type Holder struct {
	Peer string `json:"peer"`
	// Start is the most until it served, when rules had been compiled.
	Start int64        `json:"start_peak_bytes"`
	Idle  watch.Memory `json:"idle"`
	Loads []HeldLoad   `json:"loads"`
	// After is when the load has ended.
	After watch.Memory `json:"after"`
}

// HeldLoad is what one kind of body did.
type HeldLoad struct {
	Name string `json:"name"`
	Peak int64  `json:"peak_bytes"`
	// Refused counts whatever is not answered by the app: an overload says so.
	Answered     int64  `json:"answered"`
	Refused      int64  `json:"refused"`
	FirstRefusal string `json:"first_refusal,omitempty"`
}

// HeldPage is the part of a page that HeldMarkdown is for.
func HeldPage() page.Part {
	return page.Part{
		Begin: "<!-- bench-memory: begin. Written by make bench-memory; do not edit. -->",
		End:   "<!-- bench-memory: end -->",
	}
}

// HeldMarkdown is the fifth part by itself, as part of a page.
func (r *Report) HeldMarkdown() string {
	var b strings.Builder
	m := r.Machine
	kernel, _, _ := strings.Cut(m.Kernel, "-")
	fmt.Fprintf(&b, "%s, %s, %d processors, Linux %s, %s. The command:\n\n    %s\n\n",
		r.Date.Format("2006-01-02"), escape(m.CPUModel), m.CPUs, kernel, m.Go, strings.Join(r.Command, " "))
	markdownPeers(&b, r.Held.Peers, r.Held.Absent)
	r.Held.sheet().markdown(&b, 1)
	return b.String()
}

// writeText writes the part for a terminal.
func (h *Held) writeText(b *strings.Builder) {
	b.WriteString("Memory: what the inbound side holds while it inspects\n\n")
	writePeers(b, h.Peers, h.Absent)
	b.WriteByte('\n')
	h.sheet().text(b)
}

func (h *Held) sheet() *sheet {
	s := &sheet{
		title: fmt.Sprintf("Resident memory of the inbound side in MiB (idle: of it anonymous), and at its highest with %d connections that send bodies of %d KiB",
			h.Connections, h.Bytes>>10),
		header: []string{"peer", "until it served", "idle"},
	}
	for i, holder := range h.Holders {
		row := []string{holder.Peer, mib(holder.Start), mebibytes(holder.Idle)}
		for _, l := range holder.Loads {
			if i == 0 {
				s.header = append(s.header, l.Name, "answered/s", "refused/s")
			}
			row = append(row, mib(l.Peak), whole(float64(l.Answered)/h.Seconds), whole(float64(l.Refused)/h.Seconds))
		}
		s.add(append(row, mebibytes(holder.After))...)
	}
	s.header = append(s.header, "after")
	return s
}

func mib(n int64) string { return tenths(float64(n) / (1 << 20)) }
