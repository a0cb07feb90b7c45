package mtls

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Expected is the immutable set of identities a client accepts from a server.
// Its zero value contains nobody, so a configuration that forgot to set it
// refuses every server.
type Expected struct {
	ids []spiffeid.ID // sorted; a destination has one identity, or a handful
}

// NewExpected makes the set of ids. It refuses the empty set, which would
// accept nobody and is always a mistake, and IDs without a path, which name a
// trust domain and no workload.
func NewExpected(ids ...spiffeid.ID) (Expected, error) {
	if len(ids) == 0 {
		return Expected{}, errors.New("expected identities: the set is empty")
	}
	for _, id := range ids {
		if id.IsZero() || id.Path() == "" {
			return Expected{}, fmt.Errorf("expected identities: %q names no workload", id)
		}
	}
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, compareIDs)
	return Expected{ids: slices.Compact(sorted)}, nil
}

// Contains tells whether id is a member.
func (e Expected) Contains(id spiffeid.ID) bool {
	_, found := slices.BinarySearchFunc(e.ids, id, compareIDs)
	return found
}

// IDs returns the members in order; the slice is the caller's.
func (e Expected) IDs() []spiffeid.ID { return slices.Clone(e.ids) }

// String lists the members for a message, cut short when there are many.
func (e Expected) String() string {
	const most = 3
	names := make([]string, 0, most+1)
	for i, id := range e.ids {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(e.ids)-most))
			break
		}
		names = append(names, id.String())
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func compareIDs(a, b spiffeid.ID) int { return strings.Compare(a.String(), b.String()) }
