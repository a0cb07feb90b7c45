package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/identity/workload"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

// openSource starts the identity source that the configuration names.
func (s *Sidecar) openSource(ctx context.Context) error {
	if s.opts.Source != nil {
		s.source = s.opts.Source
		return nil
	}
	id := s.opts.Config.Spec.Identity
	if id.MeshCA != nil {
		return s.openMeshCA(id.MeshCA)
	}
	if id.Files != nil {
		src, err := files.New(files.Options{
			SVID: id.Files.SVID, Key: id.Files.Key, Bundles: id.Files.Bundles,
			Interval: id.Files.Interval, Log: s.opts.Log,
		})
		if err != nil {
			return fmt.Errorf("spec.identity.files: %w", err)
		}
		s.source, s.runSource = src, src.Run
		return nil
	}
	socket := s.opts.EndpointSocket
	if id.WorkloadAPI != nil && id.WorkloadAPI.Socket != "" {
		socket = id.WorkloadAPI.Socket
	}
	if socket == "" {
		return errors.New("spec.identity.workloadAPI.socket: empty, and SPIFFE_ENDPOINT_SOCKET is not set; name the socket of the SPIFFE Workload API in one of them")
	}
	src, err := workload.New(context.WithoutCancel(ctx), workload.Options{Socket: socket, Log: s.opts.Log})
	if err != nil {
		return fmt.Errorf("spec.identity.workloadAPI: %w", err)
	}
	s.source, s.closeSource = src, src.Close
	return nil
}

func (s *Sidecar) openMeshCA(c *config.MeshCA) error {
	const field = "spec.identity.meshCA"
	server, err := spiffeid.FromString(c.Server)
	if err != nil {
		return fmt.Errorf("%s.server: %w", field, err)
	}
	src, err := meshca.New(meshca.Options{
		Address: c.Address, Server: server, Token: c.Token, TrustAnchors: c.TrustAnchors, Log: s.opts.Log,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	s.source, s.runSource = src, src.Run
	return nil
}

// followIdentity tells the rest of every new snapshot.
func (s *Sidecar) followIdentity(ctx context.Context) error {
	for {
		snap := s.source.Current()
		s.metrics.Identity(snap)
		s.checkIdentity(time.Now())
		s.verifyConnections(snap)
		select {
		case <-ctx.Done():
			return nil
		case <-snap.Superseded():
		}
	}
}

// checkIdentity keeps readiness true to the SVID, and ends the mesh connections
// of an SVID that expired without a successor.
func (s *Sidecar) checkIdentity(now time.Time) {
	snap := s.source.Current()
	err := identityProblem(snap, now)
	s.readiness.Set(conditionIdentity, err)
	if errors.Is(err, mtls.ErrSVIDExpired) {
		s.endMesh(func(identity.Peer) bool { return false })
	}
}

// identityProblem says why snap cannot be used; nil if it can.
func identityProblem(snap *identity.Snapshot, now time.Time) error {
	if !snap.Ready() && snap.Err != nil {
		return snap.Err
	}
	return mtls.CheckOwn(snap, now)
}

// verifyConnections cuts off the connections whose peer the bundles of snap do
// not vouch for any more. A peer that is merely expired is ended gracefully
// elsewhere.
func (s *Sidecar) verifyConnections(snap *identity.Snapshot) {
	if !snap.Ready() {
		return
	}
	now := time.Now()
	s.endMesh(func(p identity.Peer) bool {
		err := mtls.Verify(p, snap, now)
		return err == nil || errors.Is(err, mtls.ErrExpired)
	})
}

// endMesh cuts off the mesh connections, accepted and dialed, with peers that are not
// to be kept.
func (s *Sidecar) endMesh(keep func(identity.Peer) bool) {
	s.tracker.Verify(func(a *drain.About) bool { return keep(a.Peer) })
	s.traffic.eachPool(func(p balance.Pool) {
		p.CloseIf(func(nc net.Conn) bool {
			h, ok := nc.(*hop.Conn)
			return ok && !keep(h.Peer)
		})
	})
	s.quicClient.CloseIf(func(cs tls.ConnectionState) bool {
		peer, err := mtls.PeerOf(cs)
		return err != nil || !keep(peer)
	})
}

// expireHops cuts off the hops that we dialed and whose server's certificate
// expired a grace period ago. They take no new request from well before, but an
// answer, or a tunnel, may go on for days.
func (s *Sidecar) expireHops(now time.Time, grace time.Duration) {
	s.traffic.eachPool(func(p balance.Pool) {
		p.CloseIf(func(nc net.Conn) bool {
			h, ok := nc.(*hop.Conn)
			return ok && now.After(h.Peer.NotAfter().Add(grace))
		})
	})
}

// connections is what /connections shows.
func (s *Sidecar) connections() any {
	type connection struct {
		ID        uint64    `json:"id"`
		Direction string    `json:"direction"`
		Listener  string    `json:"listener"`
		Remote    string    `json:"remote"`
		Peer      string    `json:"peer,omitempty"`
		Protocol  string    `json:"protocol"`
		Opened    time.Time `json:"opened"`
		Ending    string    `json:"ending,omitempty"`
	}
	list := []connection{}
	s.tracker.Each(func(c *drain.Conn) {
		a := c.About()
		if a == nil {
			return
		}
		v := connection{ID: c.ID(), Direction: a.Direction.String(), Listener: a.Listener, Remote: a.Remote, Protocol: a.Protocol.String(), Opened: a.Opened}
		if a.Peer.Authenticated() {
			v.Peer = a.Peer.ID.String()
		}
		if r := c.Ending(); r != flow.None {
			v.Ending = r.String()
		}
		list = append(list, v)
	})
	return list
}
