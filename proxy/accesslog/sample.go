package accesslog

import (
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/authz"
)

// perSecond is how many served calls are written that policies in trial would
// refuse, where only refusals are written: enough to see who they are. How many
// there were is what the metric tells.
const perSecond = 10

// A sampler lets through so many a second.
type sampler struct {
	mu     sync.Mutex
	second int64
	count  int
}

func (s *sampler) take(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := at.Unix(); now != s.second {
		s.second, s.count = now, 0
	}
	s.count++
	return s.count <= perSecond
}

// sampled tells whether a call that was served is written although only refusals
// are.
func (w *Writer) sampled(live, shadow authz.Decision, at time.Time) bool {
	return differs(live, shadow) && w.samples.take(at)
}
