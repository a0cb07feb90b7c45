package distribute

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A Revision is a document in one version.
type Revision struct{ Name, Version string }

// A Count is how many sidecars of a replica have a revision.
type Count struct {
	// Have are those in which it is in force.
	Have int
	// Refusals are those that refused a set with the document in it and have it in
	// another version or not at all.
	Refusals int
	// Refused is what some of them said, by "namespace/name"; at most [MaxRefused].
	Refused map[string]string
}

// MaxRefused is how many refusals a count names; they are usually all the same.
const MaxRefused = 3

// Add makes a count that of two replicas. Names beyond the bound are dropped.
func (c *Count) Add(o Count) {
	c.Have, c.Refusals = c.Have+o.Have, c.Refusals+o.Refusals
	for who, why := range o.Refused {
		c.name(who, why)
	}
}

func (c *Count) name(who, why string) {
	if c.Refused == nil {
		c.Refused = map[string]string{}
	}
	c.Refused[who] = why
	if len(c.Refused) > MaxRefused {
		// Always the last in order, so that who looks twice sees the same.
		delete(c.Refused, slices.Max(slices.Collect(maps.Keys(c.Refused))))
	}
}

// Counts counts the sidecars that are connected to this replica, for each revision.
func (s *Server) Counts(asked []Revision) []Count {
	counts := make([]Count, len(asked))
	for _, m := range s.hub.all() {
		held, why := m.holding(asked)
		var own map[string]bool // only needed of those who refused something
		for i, r := range asked {
			switch {
			case held[i]:
				counts[i].Have++
			case why == "":
			default:
				if own == nil {
					own = s.named(m.key)
				}
				if own[r.Name] {
					counts[i].Refusals++
					counts[i].name(m.key.String(), why)
				}
			}
		}
	}
	return counts
}

// holding tells which revisions are in force in a sidecar, and why it keeps what it has,
// if it refused something.
func (m *member) holding(asked []Revision) (held []bool, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held = make([]bool, len(asked))
	for i, r := range asked {
		held[i] = r.Version != "" && m.documents.held[r.Name] == r.Version
	}
	return held, m.documents.why
}

// named is what the documents of a workload are called.
func (s *Server) named(k Key) map[string]bool {
	names := map[string]bool{}
	set, _ := s.hub.mesh.Documents(k)
	for _, r := range set {
		names[r.Name] = true
	}
	return names
}

// Replicas ask each other how many sidecars have what, so that the one that writes can
// say it of all. It is a call of its own, in the messages that protobuf brings.
const (
	replicaService = "outrider.push.Replicas"
	countMethod    = "Count"
)

// counter is what answers it.
type counter interface {
	count(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
}

func replicas() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: replicaService, HandlerType: (*counter)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: countMethod,
			Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new(wrapperspb.BytesValue)
				if err := decode(in); err != nil {
					return nil, err
				}
				return srv.(counter).count(ctx, in)
			},
		}},
	}
}

// count answers another replica, which has the same identity as this one, and nobody
// else.
func (s *Server) count(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if own := s.opts.Source.Current(); !own.Ready() || who.peer.ID != own.SVID.ID {
		return nil, status.Errorf(codes.PermissionDenied, "%s is no replica of the control plane", who.peer.ID)
	}
	var asked []Revision
	if err := json.Unmarshal(in.GetValue(), &asked); err != nil || len(asked) > MaxAsked {
		return nil, status.Errorf(codes.InvalidArgument, "no more than %d revisions, in JSON", MaxAsked)
	}
	out, err := json.Marshal(s.Counts(asked))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return wrapperspb.Bytes(out), nil
}

// Ask asks another replica for its counts.
func Ask(ctx context.Context, src identity.Source, address string, asked []Revision) ([]Count, error) {
	own := src.Current()
	if !own.Ready() {
		return nil, fmt.Errorf("ask replica %s: no identity yet", address)
	}
	return ask(ctx, src, own.SVID.ID, address, asked)
}

func ask(ctx context.Context, src identity.Source, replica spiffeid.ID, address string, asked []Revision) ([]Count, error) {
	server, err := mtls.NewExpected(replica)
	if err != nil {
		return nil, err
	}
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxCounts)),
		grpc.WithTransportCredentials(credentials.NewTLS(mtls.ClientConfig(src, mtls.ClientOptions{Expected: server, NextProtos: []string{"h2"}}))))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cc.Close() }()
	in, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	out := new(wrapperspb.BytesValue)
	if err := cc.Invoke(ctx, "/"+replicaService+"/"+countMethod, wrapperspb.Bytes(in), out); err != nil {
		return nil, fmt.Errorf("ask replica %s: %w", address, err)
	}
	var counts []Count
	if err := json.Unmarshal(out.GetValue(), &counts); err != nil || len(counts) != len(asked) {
		return nil, fmt.Errorf("replica %s answers something else", address)
	}
	return counts, nil
}
