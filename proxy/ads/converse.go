package ads

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/ads/wire"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// method is that of envoy.service.discovery.v3.AggregatedDiscoveryService.
const method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

var (
	// errRotated ends a stream that is to be made again with another identity.
	errRotated = errors.New("this workload, or the control plane, needs a connection with its new identity")
	errSilent  = errors.New("the control plane has not said whether it takes us for who we are")
	errStuck   = errors.New("the control plane takes no requests")
)

// converse makes one connection and one stream and uses them until they end. It tells
// whether the control plane had taken us for who we are.
func (c *Client) converse(ctx context.Context) (admitted bool, err error) {
	c.attempt()
	l, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.conn.Close()
	cc, err := l.client()
	if err != nil {
		return false, fmt.Errorf("control plane at %q: %w", c.opts.Address, err)
	}
	defer func() { _ = cc.Close() }() // the connection is ours to close

	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() { cancel(l.distrust(ctx, c.opts.Source)) })
	t := &talk{Client: c, cancel: cancel}
	if t.wire, err = cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method); err != nil {
		return false, c.ended(ctx, err)
	}
	c.session.begin()
	defer c.session.end()
	parts.Go(func() { cancel(t.receive()) })
	t.send(ctx)
	return t.admitted.Load(), c.ended(ctx, context.Cause(ctx))
}

// distrust returns when the connection is not to be used any more, and why.
func (l *link) distrust(ctx context.Context, src identity.Source) error {
	expiry := time.NewTimer(time.Until(l.peer.NotAfter()))
	defer expiry.Stop()
	for snap := l.as; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-expiry.C:
			return errRotated
		case <-snap.Superseded():
		}
		next := src.Current()
		if next.Ready() && !sameSVID(snap, next) {
			return errRotated
		}
		if next.Bundles != snap.Bundles {
			if err := mtls.Verify(l.peer, next, time.Now()); err != nil {
				return fmt.Errorf("the control plane is not vouched for any more: %w", err)
			}
		}
		snap = next
	}
}

// sameSVID tells whether two snapshots have the same certificate.
func sameSVID(a, b *identity.Snapshot) bool {
	if a.SVID == nil || b.SVID == nil {
		return a.SVID == b.SVID
	}
	return bytes.Equal(a.SVID.Certificates[0].Raw, b.SVID.Certificates[0].Raw)
}

// ended is why a stream did.
func (c *Client) ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause // rather than that it was cancelled
	}
	if errors.Is(err, errRotated) || errors.Is(err, context.Canceled) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("control plane at %q: %w", c.opts.Address, err)
	}
	remedy := ""
	switch s.Code() { //nolint:exhaustive // the others speak for themselves
	case codes.PermissionDenied:
		remedy = "; it does not take this workload for " + c.opts.Node.Namespace + "/" + c.opts.Node.Name
	case codes.Unimplemented:
		remedy = "; whoever answers there pushes no policies"
	}
	// What it says is foreign text.
	return fmt.Errorf("control plane at %q: %s: %.300q%s", c.opts.Address, s.Code(), s.Message(), remedy)
}

// A talk is one stream. Two goroutines have it: one sends, one receives.
type talk struct {
	*Client

	wire     grpc.ClientStream
	cancel   context.CancelCauseFunc
	admitted atomic.Bool
}

// receive takes responses until there are no more, and returns why.
func (t *talk) receive() error {
	silent := time.AfterFunc(admitTimeout, func() { t.cancel(errSilent) })
	header, err := t.wire.Header()
	silent.Stop()
	if err == nil && header != nil {
		t.admitted.Store(true)
		t.Client.admitted()
	}
	for {
		var r *wire.Response
		if err := t.wire.RecvMsg(&r); err != nil {
			return err
		}
		if err := t.session.answer(r, t.take(r)); err != nil {
			return err
		}
	}
}

// send says what there is to say until the stream ends.
func (t *talk) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.session.wake:
		}
		for _, r := range t.session.next(t.opts.Node) {
			stuck := time.AfterFunc(sendTimeout, func() { t.cancel(errStuck) })
			err := t.wire.SendMsg(r)
			stuck.Stop()
			if err != nil {
				<-ctx.Done() // the receiver learns why
				return
			}
		}
		pace := time.NewTimer(requestInterval)
		select {
		case <-ctx.Done():
			pace.Stop()
			return
		case <-pace.C:
		}
	}
}

// take has a response put into force, or says why it can't be.
func (t *talk) take(r *wire.Response) error {
	switch r.Type {
	case push.DocumentType:
		set, err := t.session.documents(r)
		if err == nil {
			err = t.opts.Handler.Documents(set)
		}
		if err != nil {
			t.opts.Log.Error("documents of the control plane refused, what is in force stays", "version", r.Version, "err", err)
			return err
		}
		t.session.hold(set)
		return nil
	case push.DestinationType:
		return t.takeTargets(r)
	}
	return fmt.Errorf("nobody asked for resources of the type %.80q", r.Type)
}

// takeTargets takes destinations, which have nothing to do with each other: one that
// can't be used does not keep the others back.
func (t *talk) takeTargets(r *wire.Response) error {
	var errs []error
	for _, one := range r.Resources {
		at, ok := push.ParseDestinationName(one.Name)
		if !ok {
			errs = append(errs, fmt.Errorf("%.80q is not the name of a destination", one.Name))
			continue
		}
		if !t.session.wants(at) {
			continue // it was forgotten meanwhile
		}
		if err := t.opts.Handler.Destination(at, Resource{Version: one.Version, Body: one.Body}, one.TTL); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", one.Name, err))
			continue
		}
		t.session.holdTarget(at, one.Version)
	}
	if len(r.Removed) > 0 {
		errs = append(errs, errors.New("a destination that nobody knows is still an answer, and can't be removed"))
	}
	if err := errors.Join(errs...); err != nil {
		t.opts.Log.Error("destinations of the control plane refused, what is known of them stays", "err", err)
		return err
	}
	return nil
}
