package devca

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// securityHeader must accompany every request (SPIFFE Workload API, section
// 2.1): a browser or a proxy tricked into calling the socket cannot send it.
const securityHeader = "workload.spiffe.io"

func requireHeaderStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := requireHeader(ss.Context()); err != nil {
		return err
	}
	return next(srv, ss)
}

func requireHeaderUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := requireHeader(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func requireHeader(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if values := md.Get(securityHeader); len(values) != 1 || values[0] != "true" {
		return status.Errorf(codes.InvalidArgument, "the metadata %q: \"true\" is missing", securityHeader)
	}
	return nil
}

// service answers the X.509 part of the Workload API; the embedded server
// answers Unimplemented to the rest.
type service struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	endpoint *Endpoint
}

// A view is the state of the CA as one workload sees it.
type view struct {
	id        spiffeid.ID // zero: nobody is served
	signer    *authority
	roots     []*authority
	trust     uint64
	epoch     uint64
	own       []byte            // the CA's bundle: DER certificates in a row
	federated map[string][]byte // the same of others, by trust domain ID
	changed   <-chan struct{}
}

// view reads everything at one moment: whatever changes later closes changed.
func (e *Endpoint) view() view {
	ca := e.ca
	ca.mu.Lock()
	defer ca.mu.Unlock()
	v := view{
		id:        e.id,
		signer:    ca.roots[len(ca.roots)-1],
		roots:     ca.roots,
		trust:     ca.trust,
		epoch:     ca.epoch + ca.epochs[e.id],
		own:       concat(ca.bundle().X509Authorities()),
		federated: make(map[string][]byte, len(ca.federated)),
		changed:   ca.changed,
	}
	for td, b := range ca.federated {
		v.federated[td.IDString()] = concat(b.X509Authorities())
	}
	return v
}

// signed tells whether one of the CA's present roots signed svid.
func (v view) signed(svid *x509svid.SVID) bool {
	for _, root := range v.roots {
		if svid.Certificates[0].CheckSignatureFrom(root.cert) == nil {
			return true
		}
	}
	return false
}

func concat(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, c.Raw...)
	}
	return out
}

// FetchX509SVID implements the Workload API: an SVID and the bundles at once,
// and again whenever either changes. Each stream is given its own key.
func (s *service) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	var (
		ca   = s.endpoint.ca
		sent view           // what was last sent
		svid *x509svid.SVID // nil until something was
	)
	for {
		now := s.endpoint.view()
		if now.id.IsZero() {
			return noIdentity()
		}
		renew := svid == nil || svid.ID != now.id || sent.epoch != now.epoch || halfLife(svid) <= 0 || !now.signed(svid)
		if renew {
			var err error
			if svid, err = ca.issue(now.signer, now.id, IssueOptions{}); err != nil {
				return status.Error(codes.Internal, err.Error())
			}
			ca.log.Info("issued an SVID", "id", now.id.String(), "not_after", svid.Certificates[0].NotAfter)
		}
		if renew || sent.trust != now.trust {
			if err := send(stream, svid, now); err != nil {
				return err
			}
		}
		sent = now
		if err := wait(stream.Context(), now.changed, halfLife(svid)); err != nil {
			return err
		}
	}
}

// FetchX509Bundles implements the Workload API.
func (s *service) FetchX509Bundles(_ *workload.X509BundlesRequest, stream grpc.ServerStreamingServer[workload.X509BundlesResponse]) error {
	ca := s.endpoint.ca
	var sent view
	for first := true; ; first = false {
		now := s.endpoint.view()
		if now.id.IsZero() {
			return noIdentity()
		}
		if first || sent.trust != now.trust {
			now.federated[ca.domain.IDString()] = now.own
			if err := stream.Send(&workload.X509BundlesResponse{Bundles: now.federated}); err != nil {
				return err
			}
		}
		sent = now
		if err := wait(stream.Context(), now.changed, ca.lifetime); err != nil {
			return err
		}
	}
}

// noIdentity is what an agent answers to a process that no registration entry
// matches (SPIFFE Workload API, section 5).
func noIdentity() error { return status.Error(codes.PermissionDenied, "no identity issued") }

func send(stream grpc.ServerStreamingServer[workload.X509SVIDResponse], svid *x509svid.SVID, v view) error {
	chain, key, err := svid.MarshalRaw()
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return stream.Send(&workload.X509SVIDResponse{
		Svids: []*workload.X509SVID{{
			SpiffeId:    svid.ID.String(),
			X509Svid:    chain,
			X509SvidKey: key,
			Bundle:      v.own,
		}},
		FederatedBundles: v.federated,
	})
}

// wait returns nil when there may be something to send: after a change, or
// after the time d.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-changed:
	case <-timer.C:
	}
	return nil
}

// halfLife is how long svid has until it should be replaced.
func halfLife(svid *x509svid.SVID) time.Duration {
	leaf := svid.Certificates[0]
	return time.Until(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2))
}
