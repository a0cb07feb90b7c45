package distribute

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A Resource is something that sidecars hold: it never changes, and is shared by
// all who get it.
type Resource struct {
	// Name and Version identify it and its content.
	Name, Version string

	wire   *discovery.Resource // nil: a kept one
	needed bool                // of a kept one
}

// NewDocument is a policy document by the name of [push.DocumentName].
func NewDocument(name string, text []byte) *Resource {
	return newResource(push.DocumentType, name, text, 0)
}

// NewWorkload is the resource that tells a workload who it is.
func NewWorkload(w push.Workload) *Resource {
	return newResource(push.DocumentType, w.WorkloadName(), w.Encode(), 0)
}

// NewTarget is what is known of an address. An answer that nobody knows it is to be
// forgotten after ttl; 0: never.
func NewTarget(name string, t push.Target, ttl time.Duration) *Resource {
	return newResource(push.DestinationType, name, t.Encode(), ttl)
}

// Kept is a document of which only those know the last good version who have it: they
// keep it. Where it is needed, who does not have it gets nothing of its set until
// somebody mends the document.
func Kept(name string, needed bool) *Resource { return &Resource{Name: name, needed: needed} }

func (r *Resource) kept() bool { return r.wire == nil }

func newResource(kind, name string, body []byte, ttl time.Duration) *Resource {
	r := &Resource{Name: name, Version: push.Version(body)}
	r.wire = &discovery.Resource{Name: name, Version: r.Version, Resource: &anypb.Any{TypeUrl: kind, Value: body}}
	if ttl > 0 {
		r.wire.Ttl = durationpb.New(ttl)
	}
	return r
}

// A Set is the documents of a workload, ordered by name.
type Set []*Resource

// version names the set as a whole.
func (s Set) version() string {
	h := sha256.New()
	for _, r := range s {
		h.Write([]byte(r.Name))
		h.Write([]byte{0})
		h.Write([]byte(r.Version))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
