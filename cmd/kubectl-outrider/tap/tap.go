package tap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
)

// MaxPods is how many pods are followed at a time: each keeps a connection through API
// server and kubelet, and somebody is to read it all.
const MaxPods = 32

// A Tap says what is followed, and where it is shown.
type Tap struct {
	Pods   []sidecars.Pod
	Filter Filter
	// JSON shows records for programs, one object a line.
	JSON bool
	// Most ends after so many records; 0 means no bound.
	Most int
	// Out is for records, Err for what happens besides. Each write is one line.
	Out, Err io.Writer
}

// Run follows all pods until ctx ends, as many records as were asked for were shown,
// or none is left to be followed. The error is that of the pods that could not be
// followed, or of Out.
func (t *Tap) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &show{Tap: t, enough: func() { cancel(errEnough) }}
	errs := make([]error, len(t.Pods))
	var following sync.WaitGroup
	for i, p := range t.Pods {
		following.Go(func() {
			errs[i] = p.Follow(ctx, func(l *sidecars.Line) error { return s.line(p, l) })
		})
	}
	following.Wait()
	if err := context.Cause(ctx); err != nil {
		return s.err // somebody has had enough
	}
	return errors.Join(errs...)
}

var errEnough = errors.New("as many records as were asked for")

// show is what all pods write to.
type show struct {
	*Tap

	enough func()

	mu    sync.Mutex // for what follows
	shown int
	err   error
}

func (s *show) line(p sidecars.Pod, l *sidecars.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.Most > 0 && s.shown >= s.Most:
		return errEnough // another pod has had the last one
	case l.Lost():
		// A gap that nobody sees would be taken for silence.
		fmt.Fprintf(s.Err, "%s: %d records lost, which came faster than they were read\n", p, l.Records)
		return nil
	case !s.Filter.Match(&l.Record):
		return nil
	}
	text, err := text(p.String(), &l.Record), error(nil)
	if s.JSON {
		text, err = object(p.String(), l.Text)
	}
	if err == nil {
		_, err = fmt.Fprintln(s.Out, text)
	}
	s.shown++
	if s.err = err; err != nil || s.shown == s.Most {
		s.enough()
	}
	return err
}
