// Package attack replays labelled requests and says how good the WAF is that they
// met: how many of the attacks it stopped, and how many of the benign requests it
// stopped as well, each with its 95 % interval. It never adds the two up: a WAF
// that blocks nothing is right about every benign request.
//
// What an answer means is decided by [Rules]. An answer that says nothing about
// the WAF, such as that of a dead application, counts for neither side; it is
// listed, and too many of them make a run inconclusive.
//
// In front of an Outrider the reason of a refusal is told apart, and the access
// log, where it can be read, adds rules and scores, and makes it possible to
// measure a policy in mode Detect.
package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/pace"
)

// Options say what is sent where, and how it is judged.
type Options struct {
	// Corpus is what is sent, in its order. Required, with one sample at least.
	Corpus *corpus.Corpus
	// Paths are where it was read, for the report.
	Paths []string
	// Endpoint is where it is sent.
	Endpoint wire.Options
	// Host is sent in place of the samples' own; empty: the endpoint's. KeepHost
	// sends the samples' own.
	Host     string
	KeepHost bool
	// Connections is how many requests are under way at once; 0: four.
	Connections int
	// Rate is how many begin per second; nil: each as soon as an answer is there.
	Rate pace.Shape
	// Rules judge answers.
	Rules Rules
	// Gates are what the figures must keep.
	Gates Gates
	// AccessLog is the Outrider's, from where this run begins; its end may be
	// followed by more later. nil: there is none.
	AccessLog io.Reader
	// LogWait is how long the last records may be waited for; 0: five seconds.
	LogWait time.Duration
	// Progress is told what happens, a few times a second and from one goroutine
	// at a time; nil: nobody wants to know.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	// Done of All samples have been sent and answered; Failed of them have not
	// been answered.
	Done, All, Failed int
}

const (
	defaultConnections = 4
	// maxConnections bounds them: who wants to measure load has other commands.
	maxConnections = 1024
	// defaultLogWait is many times what a sidecar keeps records back.
	defaultLogWait = 5 * time.Second
)

// check fills in defaults.
func (o *Options) check() error {
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	if o.LogWait == 0 {
		o.LogWait = defaultLogWait
	}
	switch {
	case o.Corpus == nil || len(o.Corpus.Samples)+len(o.Corpus.Unreadable) == 0:
		return errors.New("the corpus holds no samples")
	case o.Connections < 0 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections are not between 1 and %d", o.Connections, maxConnections)
	case o.KeepHost && o.Host != "":
		return errors.New("a host of our own and the samples' own exclude each other")
	case o.Rules.FromLog && o.AccessLog == nil:
		return errors.New("to judge by the access log, it must be given")
	}
	return errors.Join(o.Rules.check(), o.Gates.check())
}

// Run replays a corpus. An error means that there is no report: the options cannot
// be right, the access log cannot be read, or ctx has ended. Requests that fail
// are part of the report.
func Run(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("attack replay: %w", err)
	}
	to, err := wire.NewEndpoint(opts.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("attack replay: %w", err)
	}
	if opts.Host == "" && !opts.KeepHost {
		opts.Host = to.Host
	}
	start := time.Now()
	r := newReplay(&opts, func() sender { return to.Client() })
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("attack replay: %w", err)
	}
	took := time.Since(start)
	damaged, err := r.consult(ctx)
	if err != nil {
		return nil, fmt.Errorf("attack replay: %w", err)
	}
	report := summarise(&opts, r.exchanges)
	report.Date, report.Seconds = start.UTC().Truncate(time.Second), took.Seconds()
	if damaged > 0 {
		report.doubt("%s of the access log could not be read", count(damaged, "line"))
	}
	return report, nil
}

// consult looks every exchange up in the access log.
func (r *replay) consult(ctx context.Context) (damaged int, err error) {
	if r.opts.AccessLog == nil {
		return 0, nil
	}
	keys := make([]evidence.Key, len(r.exchanges))
	for i := range r.exchanges {
		keys[i] = r.exchanges[i].key()
	}
	log := evidence.NewLog(r.opts.AccessLog)
	found, err := log.Find(ctx, keys, r.opts.LogWait)
	if err != nil {
		return 0, err
	}
	for i := range r.exchanges {
		r.exchanges[i].record = found[i]
	}
	return log.Damaged(), nil
}
