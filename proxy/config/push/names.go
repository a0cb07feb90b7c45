package push

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
)

// The types of resources, as type URLs of xDS.
const (
	// DocumentType is a policy document, or the [Workload] they are for. All
	// documents of a workload are of one type, so that one response can change
	// several of them at once: a set is in force as a whole or not at all.
	DocumentType = "type.googleapis.com/outrider.dev.v1alpha1.Document"
	// DestinationType is what is known of an address: a [Target].
	DestinationType = "type.googleapis.com/outrider.dev.v1alpha1.Destination"
)

// KindWorkload is the kind of the one resource among the documents that is no
// policy.
const KindWorkload = "Workload"

// Wildcard subscribes to all resources of a type that are the asker's.
const Wildcard = "*"

// DocumentName names a document: "AccessPolicy/shop/payments-callers". The
// namespace may be empty.
func DocumentName(kind, namespace, name string) string {
	return kind + "/" + namespace + "/" + name
}

// SplitDocumentName undoes [DocumentName]; ok tells whether it could.
func SplitDocumentName(s string) (kind, namespace, name string, ok bool) {
	kind, rest, first := strings.Cut(s, "/")
	namespace, name, second := strings.Cut(rest, "/")
	return kind, namespace, name, first && second && kind != "" && name != "" && !strings.Contains(name, "/")
}

// DestinationName names what is known of an address.
func DestinationName(at netip.AddrPort) string { return at.String() }

// ParseDestinationName undoes [DestinationName]. Only the one spelling that
// DestinationName writes is a name: two names of one address would be two
// resources.
func ParseDestinationName(s string) (netip.AddrPort, bool) {
	at, err := netip.ParseAddrPort(s)
	if err != nil || at.Port() == 0 || at.Addr().Zone() != "" || at.Addr().Is4In6() || at.String() != s {
		return netip.AddrPort{}, false
	}
	return at, true
}

// Version names a content: 16 hexadecimal digits of its hash. It is the same from
// every replica of the control plane and after its restart, so a sidecar that
// reconnects is sent what changed and nothing else.
func Version(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}
