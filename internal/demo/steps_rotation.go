package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/outrider-mesh/outrider/identity/mtls"
	workloadapi "github.com/outrider-mesh/outrider/identity/workload"
)

const (
	// callers is how many ask at the same time: more than connections are kept
	// idle, so that the sidecars open new ones all the time.
	callers = 8
	// rotations is how often everybody gets a new certificate.
	rotations = 3
	// callsPerRotation is how many calls there are between two rotations, on a
	// machine that manages so many within longestRound.
	callsPerRotation = 500
	longestRound     = time.Second
)

func rotationStep() step {
	return step{
		title: "Every certificate is replaced while calls go on", name: "rotation under load",
		expected: "no call fails",
		run: func(ctx context.Context, s *scene) (string, error) {
			s.say(fmt.Sprintf("%d customers call without a pause. Meanwhile the certificate authority gives every workload "+
				"a new certificate and key, %d times. Serial numbers are as a TLS handshake of an observer sees them.",
				callers, rotations))
			eye, err := s.newObserver(ctx)
			if err != nil {
				return "", err
			}
			defer eye.close()
			l := s.startLoad(ctx)
			err = s.rotateUnder(ctx, l, eye)
			l.stop()
			total, failed := l.done.Load(), l.failed.Load()
			s.line("")
			if failed > 0 {
				s.fields([2]string{"first failure", l.problem()})
			}
			if err != nil {
				return "", err
			}
			s.holds(failed == 0, "%d calls through both hops, %d failed", total, failed)
			return fmt.Sprintf("%d calls, %d failed", total, failed), nil
		},
	}
}

// rotateUnder replaces all certificates a number of times. A round ends when the
// new ones are in use.
func (s *scene) rotateUnder(ctx context.Context, l *load, eye *observer) error {
	// The first certificates have to be in use before the second can be told
	// from them.
	err := awaitFor(ctx, asShipped().patience, "the first calls are answered", func() (bool, error) { return l.done.Load() >= 2*callers, nil })
	if err != nil {
		return err
	}
	before, err := s.usage(ctx, eye)
	if err != nil {
		return err
	}
	s.line("")
	s.line("   %-12s %-19s %-19s %s", "", "serial of checkout", "serial of payments", "calls so far")
	s.line("   %-12s %-19s %-19s %d", "at first", before.checkout, before.payments, l.done.Load())
	first, serials := before, map[string]struct{}{before.checkout: {}, before.payments: {}}
	for round := 1; round <= rotations; round++ {
		enough, since := l.done.Load()+callsPerRotation, time.Now()
		if err := s.plan.rotate(ctx, s.mesh); err != nil {
			return err
		}
		var now usage
		err := s.await(ctx, "every workload uses its new certificate", func() (bool, error) {
			var err error
			now, err = s.usage(ctx, eye)
			return now.allNew(before) && (l.done.Load() >= enough || time.Since(since) > longestRound), err
		})
		if err != nil {
			return err
		}
		s.line("   %-12s %-19s %-19s %d", fmt.Sprintf("rotation %d", round), now.checkout, now.payments, l.done.Load())
		serials[now.checkout], serials[now.payments] = struct{}{}, struct{}{}
		before = now
	}
	s.line("")
	s.holds(len(serials) == 2*(1+rotations), "both services present another serial number after each rotation")
	s.holds(before.byStorefront >= first.byStorefront+rotations && before.byCheckout >= first.byCheckout+rotations,
		"so do their callers: storefront has shown checkout %d of them, checkout %d to payments",
		before.byStorefront, before.byCheckout)
	return nil
}

// usage tells which certificates are in use.
type usage struct {
	// checkout and payments are the serial numbers they present as servers.
	checkout, payments string
	// byStorefront and byCheckout are how many certificates they have presented
	// as clients.
	byStorefront, byCheckout int
}

func (u usage) allNew(old usage) bool {
	return u.checkout != old.checkout && u.payments != old.payments &&
		u.byStorefront > old.byStorefront && u.byCheckout > old.byCheckout
}

func (s *scene) usage(ctx context.Context, eye *observer) (u usage, err error) {
	if u.checkout, err = eye.serial(ctx, s.checkout); err != nil {
		return u, err
	}
	if u.payments, err = eye.serial(ctx, s.payments); err != nil {
		return u, err
	}
	u.byStorefront, u.byCheckout = s.checkout.app.certificates(), s.payments.app.certificates()
	return u, nil
}

// An observer has an identity of its own and looks at the certificates of
// others.
type observer struct {
	source *workloadapi.Source
	dialer net.Dialer
}

func (s *scene) newObserver(ctx context.Context) (*observer, error) {
	api, err := s.ca.Serve(ctx, filepath.Join(s.dir, "observer.sock"), identityOf("observer"))
	if err != nil {
		return nil, err
	}
	source, err := workloadapi.New(ctx, workloadapi.Options{Socket: api.Addr()})
	if err != nil {
		return nil, err
	}
	eye := &observer{source: source}
	if err := s.await(ctx, "the observer has an identity", func() (bool, error) { return source.Current().Ready(), nil }); err != nil {
		eye.close()
		return nil, err
	}
	return eye, nil
}

func (o *observer) close() { _ = o.source.Close() } // nothing of it is used any more

// serial makes a handshake and returns the first digits of the serial number
// that was presented.
func (o *observer) serial(ctx context.Context, w *workload) (string, error) {
	expected, err := mtls.NewExpected(w.id)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := o.dialer.DialContext(ctx, "tcp", w.inbound())
	if err != nil {
		return "", fmt.Errorf("observe %s: %w", w.name, err)
	}
	defer raw.Close()
	conn := tls.Client(raw, mtls.ClientConfig(o.source, mtls.ClientOptions{Expected: expected}))
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", fmt.Errorf("observe %s: %w", w.name, err)
	}
	peer, err := mtls.PeerOf(conn.ConnectionState())
	if err != nil {
		return "", fmt.Errorf("observe %s: %w", w.name, err)
	}
	return clip(fmt.Sprintf("%x", peer.Chain[0].SerialNumber), serialDigits), nil
}

// serialDigits of a random number of 160 bits tell two apart.
const serialDigits = 13
