package feed

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/ads"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/feed/cache"
)

// PushedOptions configure a [Pushed].
type PushedOptions struct {
	// Node is this workload. Documents of another one are refused.
	Node push.Node
	// Owner is whose the cache is, and Cache where it is; the zero Dir keeps nothing.
	Owner cache.Owner
	Cache cache.Dir
	// Log gets a line for every set that comes into force; nil discards them.
	Log *slog.Logger
	// Apply puts a valid set into force, for this workload as the API server knows
	// it, or refuses it with an error and changes nothing; the workload is nil where
	// the control plane does not say. Calls don't overlap. Required.
	Apply func(*config.Documents, *push.Workload) error
	// Refused is called once for every set that did not come into force; nil for
	// nobody. Calls don't overlap.
	Refused func(error)
}

// A Pushed is the documents that the control plane pushes.
type Pushed struct {
	options PushedOptions

	taking sync.Mutex // held while a set is put into force; guards what follows
	last   ads.Set    // the set in force; nil when there is none yet

	mu        sync.Mutex // guards what follows; never held during Apply
	status    Status
	cached    bool // the set in force is from the cache, and nobody has confirmed it
	connected bool
}

// NewPushed returns one that has no documents yet.
func NewPushed(o PushedOptions) *Pushed {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Refused == nil {
		o.Refused = func(error) {}
	}
	return &Pushed{options: o}
}

// Kept returns the set in the cache, and when it was written. It is not in force.
func (p *Pushed) Kept() (ads.Set, time.Time, error) {
	c, err := p.options.Cache.Load(cache.Documents, p.options.Owner)
	if err != nil {
		return nil, time.Time{}, err
	}
	set := make(ads.Set, len(c.Resources))
	for _, r := range c.Resources {
		set[r.Name] = ads.Resource{Version: r.Version, Body: r.Body}
	}
	return set, c.Saved, nil
}

// errLate is about a set of the cache that is not needed any more.
var errLate = errors.New("the control plane has sent a set")

// Restore puts the set of the cache into force, unless there is one already.
func (p *Pushed) Restore(set ads.Set, saved time.Time) error {
	p.taking.Lock()
	defer p.taking.Unlock()
	if p.last != nil {
		return errLate
	}
	docs, err := p.apply(set)
	if err != nil {
		return err
	}
	p.last = set
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cached = true
	p.note(set, docs, saved)
	return nil
}

// Documents puts the set that the control plane sent into force, or says why it can't
// be. It is half of [ads.Handler].
func (p *Pushed) Documents(set ads.Set) error {
	p.taking.Lock()
	defer p.taking.Unlock()
	if p.last != nil && maps.EqualFunc(p.last, set, func(a, b ads.Resource) bool { return a.Version == b.Version }) {
		p.confirm()
		return nil
	}
	docs, err := p.apply(set)
	if err != nil {
		p.refuse(err)
		return err
	}
	p.last = set
	p.accept(set, docs)
	p.keep(set)
	return nil
}

// apply parses a set and puts it into force.
func (p *Pushed) apply(set ads.Set) (*config.Documents, error) {
	var files []config.File
	var workload *push.Workload
	for name, one := range set {
		if kind, _, _, _ := push.SplitDocumentName(name); kind != push.KindWorkload {
			files = append(files, config.File{Name: name, Data: one.Body})
			continue
		}
		w, err := p.self(name, one)
		if err != nil {
			return nil, err
		}
		workload = &w
	}
	docs, err := config.ParseDocuments(files)
	if err != nil {
		return nil, err
	}
	if err := p.options.Apply(docs, workload); err != nil {
		return nil, fmt.Errorf("apply policy documents of the control plane: %w", err)
	}
	return docs, nil
}

// self reads what the API server knows of this workload, and of no other: the labels
// of another one would have its policies select us.
func (p *Pushed) self(name string, one ads.Resource) (push.Workload, error) {
	w, err := push.ParseWorkload(one.Body)
	if err != nil {
		return push.Workload{}, err
	}
	n := p.options.Node
	if w.Namespace != n.Namespace || w.Name != n.Name || name != w.WorkloadName() {
		return push.Workload{}, fmt.Errorf("%.80q is about %s/%s, and this workload is %s/%s", name, w.Namespace, w.Name, n.Namespace, n.Name)
	}
	return w, nil
}

// confirm notes that the control plane says what is in force.
func (p *Pushed) confirm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cached, p.status.Err, p.status.ErrAt = false, nil, time.Time{}
	p.status.ConfirmedAt = time.Now()
}

func (p *Pushed) refuse(err error) {
	p.mu.Lock()
	p.status = p.now()
	p.status.Err, p.status.ErrAt = err, time.Now()
	p.mu.Unlock()
	p.options.Refused(err)
}

// accept notes that a set is in force.
func (p *Pushed) accept(set ads.Set, docs *config.Documents) {
	p.mu.Lock()
	p.cached = false
	p.note(set, docs, time.Now())
	p.mu.Unlock()
	log := p.options.Log
	log.Info("policy documents in force", "generation", docs.Generation, "documents", len(set), "warnings", len(docs.Warnings))
	for _, w := range docs.Warnings[:min(len(docs.Warnings), maxLogged)] {
		log.Warn("policy document", "warning", w.String())
	}
}

// note needs p.mu. Confirmed is when the control plane last said so.
func (p *Pushed) note(set ads.Set, docs *config.Documents, confirmed time.Time) {
	if docs.Generation != p.status.Generation || p.status.LoadedAt.IsZero() {
		p.status.Generation, p.status.LoadedAt = docs.Generation, time.Now()
	}
	p.status.Err, p.status.ErrAt, p.status.ConfirmedAt = nil, time.Time{}, confirmed
	p.status.Files, p.status.Warnings = slices.Sorted(maps.Keys(set)), docs.Warnings
}

// keep writes a set to the cache. A sidecar that can't is a working one.
func (p *Pushed) keep(set ads.Set) {
	c := cache.Content{Owner: p.options.Owner, Saved: time.Now()}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		c.Resources = append(c.Resources, cache.Resource{Name: name, Version: set[name].Version, Body: set[name].Body})
	}
	if err := p.options.Cache.Save(cache.Documents, c); err != nil {
		p.options.Log.Warn("policy documents are not kept for a restart", "err", err)
	}
}

// Connected tells that the control plane can be heard, or that it can't. While it can,
// it says whatever changes, so what is in force is confirmed.
func (p *Pushed) Connected(connected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = p.now()
	p.connected = connected
}

// now is the status at this moment. It needs p.mu.
func (p *Pushed) now() Status {
	s := p.status
	if p.connected && !p.cached && s.Err == nil && s.Generation != "" {
		s.ConfirmedAt = time.Now()
	}
	return s
}

// Status returns the present state. It may be called from any goroutine.
func (p *Pushed) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now()
}

// Cached tells whether the set in force is from the cache, and the control plane has
// not confirmed it.
func (p *Pushed) Cached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cached
}
