package distribute

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// About is what is known of a connected sidecar.
type About struct {
	Key
	// ID is its identity, as its connection proved it.
	ID spiffeid.ID
	// Version is that of its program, as it says.
	Version string
	// Since is when it connected.
	Since time.Time
}

// A Report is what a connected sidecar has of its documents.
type Report struct {
	About
	// Held are the versions in force there, by name.
	Held map[string]string
	// Refused says why it keeps what it has; empty if it has what it should.
	Refused string
}

// report is what the sidecar of a member has.
func (m *member) report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Report{About: m.about, Held: maps.Clone(m.documents.held), Refused: m.documents.why}
}

// Reports tells of every connected sidecar, ordered by workload.
func (s *Server) Reports() []Report {
	all := s.hub.all()
	reports := make([]Report, len(all))
	for i, m := range all {
		reports[i] = m.report()
	}
	slices.SortFunc(reports, func(a, b Report) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return reports
}
