package distribute

import (
	"context"
	"time"
)

// sweep ends streams that are past their time, until the context ends.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	snap := s.opts.Source.Current()
	for {
		select {
		case <-ctx.Done():
			return
		case <-snap.Superseded():
			snap = s.opts.Source.Current()
			s.verify(time.Now())
		case now := <-tick.C:
			s.expire(now)
		}
	}
}

// verify disconnects those for whom the bundles do not vouch any more.
func (s *Server) verify(now time.Time) {
	for _, m := range s.hub.all() {
		if err := m.stream.who.trusted(s.opts.Source, now); err != nil {
			s.drop(m, err)
		}
	}
}

// expire ends what is past its time: an answer, an age, a certificate. Whoever does
// not answer may not read either, so its connection is cut off.
func (s *Server) expire(now time.Time) {
	for _, m := range s.hub.all() {
		since := m.silent()
		switch {
		case !since.IsZero() && now.Sub(since) > s.opts.AckTimeout:
			s.drop(m, errSlow)
		case now.After(m.stream.who.peer.NotAfter()):
			s.drop(m, errAge)
		case now.After(m.stream.until):
			m.leave(errAge)
		}
	}
}

// drop ends a stream, and what it runs on.
func (s *Server) drop(m *member, why error) {
	s.opts.Log.Warn("sidecar disconnected", "workload", m.key.String(), "err", why)
	m.leave(why)
	_ = m.stream.who.conn.Close()
}
