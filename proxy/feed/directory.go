package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// Options configure a [Directory].
type Options struct {
	// Dir holds the documents: *.yaml, *.yml and *.json, not below.
	Dir string
	// Interval is how often the directory is looked at even without notice;
	// 0 means 10 s.
	Interval time.Duration
	// Log gets a line for every set that is taken or refused while Run runs;
	// nil discards them.
	Log *slog.Logger
	// Apply puts a valid set into force, or refuses it with an error and
	// changes nothing. Calls don't overlap. Required.
	Apply func(*config.Documents) error
	// Refused is called once for every state of the directory that did not
	// come into force, whether it could not be read, is not valid or was
	// refused by Apply; nil for nobody. Calls don't overlap.
	Refused func(error)
}

// Status tells what is in force and whether it is what the source says.
type Status struct {
	// Generation is that of the set in force; empty when there is none yet.
	Generation string
	// LoadedAt is when the set came into force; zero when there is none yet.
	LoadedAt time.Time
	// ConfirmedAt is when the source was last seen to say what is in force;
	// zero when there is none yet.
	ConfirmedAt time.Time
	// Err says why the source's newest state is not in force; nil when it is.
	Err error
	// ErrAt is when that state was first seen; zero without an error.
	ErrAt time.Time
	// Files are the names of the files of the set in force.
	Files []string
	// Ignored are files in the directory whose name says that they hold no
	// documents, as last seen.
	Ignored []string
	// Warnings are those of the set in force.
	Warnings []config.Problem
}

// Age is how long ago the source was last seen to say what is in force: at
// most about an interval while all is well, growing while the source is gone
// or broken. It is 0 when nothing is in force.
func (s Status) Age(now time.Time) time.Duration {
	if s.ConfirmedAt.IsZero() {
		return 0
	}
	return now.Sub(s.ConfirmedAt)
}

// A Directory is a directory of policy documents.
type Directory struct {
	options Options

	checking sync.Mutex // held during a check; guards tracker
	tracker  tracker

	mu     sync.Mutex // guards status; never held during Apply
	status Status
}

// NewDirectory returns a Directory that has not looked at anything yet.
func NewDirectory(o Options) *Directory {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Directory{options: o}
	d.tracker = tracker{read: func() snapshot { return readDirectory(o.Dir) }}
	return d
}

// Load looks at the directory at once, for the start of the sidecar, and
// returns what the status then has as its error. A later Run goes on from
// there.
func (d *Directory) Load(ctx context.Context) error {
	d.check(ctx, 0)
	return d.Status().Err
}

// Run follows the directory until the context ends, which is no error. Where
// Load did not, it begins with a first look.
func (d *Directory) Run(ctx context.Context) error {
	follow(ctx, following{
		dir: d.options.Dir, interval: d.options.Interval, log: d.options.Log,
		check: func(ctx context.Context) {
			if d.check(ctx, settle) {
				d.report()
			}
		},
	})
	return nil
}

// Status returns the present state. It may be called from any goroutine.
func (d *Directory) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// check takes the directory's state and tells whether it is a new one.
func (d *Directory) check(ctx context.Context, settle time.Duration) bool {
	d.checking.Lock()
	defer d.checking.Unlock()
	s, changed := d.tracker.next(ctx, settle)
	if !changed {
		d.confirm()
		return false
	}
	d.take(s)
	if err := d.Status().Err; err != nil && d.options.Refused != nil {
		d.options.Refused(err)
	}
	return true
}

// take makes a new state of the directory the one in force, or remembers why
// it can't be.
func (d *Directory) take(s snapshot) {
	docs, err := d.accept(s)
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.err == nil {
		d.status.Ignored = s.ignored
	}
	if err != nil {
		d.status.Err, d.status.ErrAt = err, now
		return
	}
	if docs.Generation != d.status.Generation {
		d.status.Generation, d.status.LoadedAt = docs.Generation, now
	}
	d.status.Err, d.status.ErrAt, d.status.ConfirmedAt = nil, time.Time{}, now
	d.status.Files, d.status.Warnings = s.names(), docs.Warnings
}

// accept parses a state and puts it into force unless it already is, as after
// the edit of a comment or the end of a mistake.
func (d *Directory) accept(s snapshot) (*config.Documents, error) {
	if s.err != nil {
		return nil, s.err
	}
	docs, err := config.ParseDocuments(s.files)
	if err != nil {
		return nil, err
	}
	if docs.Generation == d.Status().Generation {
		return docs, nil
	}
	return docs, d.apply(docs)
}

func (d *Directory) apply(docs *config.Documents) error {
	if err := d.options.Apply(docs); err != nil {
		return fmt.Errorf("apply policy documents of %q: %w", d.options.Dir, err)
	}
	return nil
}

// confirm notes that the directory is as it was.
func (d *Directory) confirm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.Err == nil && d.status.Generation != "" {
		d.status.ConfirmedAt = time.Now()
	}
}

// report writes what a check that found something new came to.
func (d *Directory) report() {
	s, log := d.Status(), d.options.Log.With("dir", d.options.Dir)
	if s.Err != nil {
		log.Error("policy documents refused, the last good set stays in force", "generation", s.Generation, "err", s.Err)
		return
	}
	log.Info("policy documents in force", "generation", s.Generation, "files", len(s.Files), "warnings", len(s.Warnings))
	if len(s.Files) == 0 {
		log.Warn("the policy directory holds no documents, so every call is refused")
	}
	for _, w := range s.Warnings[:min(len(s.Warnings), maxLogged)] {
		log.Warn("policy document", "warning", w.String())
	}
}
