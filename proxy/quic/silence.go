package quic

import (
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// silence measures for how long a connection has sent and heard nothing. QUIC itself
// gives up only after its idle timeout, and until then every call would wait: where UDP
// begins to be dropped in the middle of a connection, or its other end was restarted
// and knows nothing of it.
//
// What needs an answer is acknowledged within a round trip and 25 ms (RFC 9000 §13.2.1),
// and while it is not, it is sent again, in ever longer intervals (RFC 9002 §6.2). So
// it is not the time since the last packet came that counts (an idle connection is
// silent, and nothing is wrong with it), but for how long we have been sending since.
type silence struct {
	sent, received uint64    // packets, when last looked at
	since          time.Time // of the first packet after the last that was received
	last           time.Time // of the last one sent
	times          int       // that something was seen to have been sent since
}

// look takes the counters of now and returns how long the silence has lasted, if it is
// one. The first packet may have been an acknowledgement, which needs no answer, and the
// second one may just have been sent; so there must be a third. Between two that are
// sent in vain there may be more than most, but not twice as much: each interval is twice
// the one before, and so no longer than all before together.
func (s *silence) look(now time.Time, stats quicgo.ConnectionStats, most time.Duration) (total time.Duration) {
	switch {
	case stats.PacketsReceived != s.received:
		s.times = 0
	case stats.PacketsSent == s.sent:
	case s.times == 0 || now.Sub(s.last) > 2*most:
		s.since, s.last, s.times = now, now, 1
	default:
		s.last = now
		if s.times++; s.times > 2 {
			total = now.Sub(s.since)
		}
	}
	s.sent, s.received = stats.PacketsSent, stats.PacketsReceived
	return total
}
