package report

// Inspection is the third part: hops whose inbound side looks for attacks.
type Inspection struct {
	// Peers hold who took part, those that inspect nothing last; Absent who has
	// nothing that inspects, with the reason.
	Peers    []Peer            `json:"peers"`
	Absent   map[string]string `json:"absent,omitempty"`
	Fairness []string          `json:"fairness"`
	Requests []Inspected       `json:"requests"`
	Memory   []Memory          `json:"memory"`
}

// Inspected is one kind of request.
type Inspected struct {
	// Name is the request in words, Line how it begins, Bytes how long its body
	// is.
	Name  string `json:"name"`
	Line  string `json:"line"`
	Bytes int    `json:"body_bytes"`
	// Closed is what each costs, compared with Mark; Open what each adds at a
	// rate that all of them carry; nil where that was not measured.
	Closed Cell  `json:"closed_loop"`
	Open   *Open `json:"open_loop"`
	// Samples are those of the closed loop.
	Samples []Sample `json:"samples"`
}

// Mark is what inspection is compared with.
const Mark = "nginx+modsecurity"

// Void is a sample of a peer that is not measured, for the reason given.
func Void(load Load, peer, reason string) Sample {
	return Sample{Load: load, Peer: peer, Errors: 1, FirstError: reason}
}
