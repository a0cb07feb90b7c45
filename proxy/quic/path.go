package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A Fallback is why TCP was taken where QUIC was wanted; a closed set, as it labels a
// metric.
type Fallback uint8

// The reasons.
const (
	// FellBackTimeout: no answer, as where UDP is dropped.
	FellBackTimeout Fallback = iota
	// FellBackRefused: nobody listens there.
	FellBackRefused
	// FellBackHandshake: TLS failed, or the versions don't match.
	FellBackHandshake
	// FellBackRemembered: it failed not long ago.
	FellBackRemembered
	// FellBackOther: anything else.
	FellBackOther

	fallbackCount
)

// String is the name in metrics.
func (f Fallback) String() string {
	switch f {
	case FellBackTimeout:
		return "timeout"
	case FellBackRefused:
		return "refused"
	case FellBackHandshake:
		return "handshake"
	case FellBackRemembered:
		return "remembered"
	case FellBackOther, fallbackCount:
	}
	return "other"
}

// Fallbacks are all reasons.
func Fallbacks() []Fallback {
	all := make([]Fallback, fallbackCount)
	for i := range all {
		all[i] = Fallback(i)
	}
	return all
}

const (
	// headStart is how long QUIC is waited for before TCP is tried beside it:
	// longer than a handshake takes within a region, and hardly noticed.
	headStart = 50 * time.Millisecond
	// firstForget and lastForget are how long a failure of QUIC is remembered;
	// it doubles with each in a row. Networks that drop UDP seldom change.
	firstForget = time.Minute
	lastForget  = time.Hour
)

// A Path decides between QUIC and TCP on the way to one endpoint, and remembers. Its
// methods may be called from any goroutine.
type Path struct {
	// FellBack is told of every time that TCP was taken; nil: nobody counts.
	FellBack func(Fallback)
	// Running counts the attempts under way, which outlive the call that made them
	// by a few seconds at most; required.
	Running *sync.WaitGroup

	mu       sync.Mutex
	failures int       // of QUIC in a row
	until    time.Time // not tried before
	probing  bool      // an attempt is under way after one that failed
	late     int       // attempts under way for longer than the head start
}

// Dial makes a connection by QUIC or, where that does not come about soon, by TCP.
// What comes too late is closed. Both functions must return when their context ends.
func Dial[C interface {
	comparable
	net.Conn
}](ctx context.Context, p *Path, quic, tcp func(context.Context) (C, error)) (C, error) {
	if !p.tryQUIC(time.Now()) {
		p.fellBack(FellBackRemembered)
		return tcp(ctx)
	}
	type outcome struct {
		conn C
		err  error
	}
	// The attempt outlives ctx: what it comes to is worth knowing for the next one.
	attempt, giveUp := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	result := make(chan outcome) // unbuffered: taken, or too late
	taken := make(chan struct{})
	this := new(progress)
	p.Running.Go(func() {
		defer giveUp()
		conn, err := quic(attempt)
		p.learn(time.Now(), this, err)
		select {
		case result <- outcome{conn, err}:
		case <-taken: // TCP was faster
			var none C
			if conn != none {
				_ = conn.Close() // the connection below it stays for the next
			}
		}
	})
	defer close(taken)
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	select {
	case r := <-result:
		if r.err == nil {
			return r.conn, nil
		}
		p.fellBack(Reason(r.err))
	case <-timer.C:
		p.overdue(this)
		p.fellBack(FellBackTimeout)
	case <-ctx.Done():
		var none C
		return none, context.Cause(ctx)
	}
	return tcp(ctx)
}

// progress is what is known of one attempt; guarded by the path's mutex.
type progress struct{ late, over bool }

// overdue notes that an attempt takes longer than anybody waits. Until its outcome is
// known, others don't make the same experience.
func (p *Path) overdue(a *progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.over {
		a.late = true
		p.late++
	}
}

// attemptTimeout bounds an attempt that nobody waits for any more.
const attemptTimeout = 5 * time.Second

// tryQUIC tells whether QUIC is worth an attempt. While one is under way whose outcome
// is not known, others take TCP.
func (p *Path) tryQUIC(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures == 0 {
		return p.late == 0
	}
	if now.Before(p.until) || p.probing {
		return false
	}
	p.probing = true
	return true
}

// learn remembers what became of an attempt.
func (p *Path) learn(now time.Time, a *progress, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing = false
	a.over = true
	if a.late {
		p.late--
	}
	switch {
	case err == nil:
		p.failures, p.until = 0, time.Time{}
		return
	case errors.Is(err, mtls.ErrNoSVID), errors.Is(err, errClosed):
		return // QUIC is not to blame
	case now.Before(p.until):
		return // one of many that met the same outage
	}
	p.until = now.Add(min(firstForget<<min(p.failures, 10), lastForget))
	p.failures++
}

func (p *Path) fellBack(f Fallback) {
	if p.FellBack != nil {
		p.FellBack(f)
	}
}

// Reason sorts an error of a QUIC handshake.
func Reason(err error) Fallback {
	var idle *quicgo.IdleTimeoutError
	var handshake *quicgo.HandshakeTimeoutError
	var transport *quicgo.TransportError
	var version *quicgo.VersionNegotiationError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &idle), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return FellBackTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return FellBackRefused
	case errors.As(err, &version), errors.As(err, &cert), errors.As(err, &transport) && transport.ErrorCode.IsCryptoError():
		return FellBackHandshake
	}
	return FellBackOther
}
