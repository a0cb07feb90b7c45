package report

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const (
	// round is how often statuses are looked at. Sidecars acknowledge within a
	// second or two, so one or two writes tell of a change.
	round = time.Second
	// perRound bounds the statuses that are looked at in a round, and so the writes:
	// a tenth of what the control plane may ask of an API server.
	perRound = 40
	// later is when a document is looked at again of which not all sidecars have said
	// that they have it, and settled when one of which they have: a sidecar that goes
	// without a word changes it too.
	later   = 2 * time.Second
	settled = time.Minute
	// stale is how long the informer may take to show what was written.
	stale = 10 * time.Second
	// patience is how long a round may take, silent replicas included.
	patience = 10 * time.Second
)

// Options configure a [Writer]. Every field is required.
type Options struct {
	// Client writes.
	Client dynamic.Interface
	// Model knows what has become of documents.
	Model *model.Model
	// Status is that of a document as the API server has it; false: it is not there.
	Status func(model.ID) (v1alpha1.PolicyStatus, bool)
	// Counts counts over all replicas, and names those that did not answer.
	Counts func(context.Context, []distribute.Revision) (counts []distribute.Count, silent []string)
	// Log gets a line for what can't be written.
	Log *slog.Logger
}

// A Writer writes statuses while it runs.
type Writer struct {
	opts Options

	mu  sync.Mutex
	due map[model.ID]time.Time // when to look at a document

	// Run's:
	written map[model.ID]written
	edition uint64                                 // of the documents that advice is about
	advice  map[string]map[string][]config.Problem // by namespace and resource
}

// written is what was written lately, and may not be seen yet.
type written struct {
	status v1alpha1.PolicyStatus
	at     time.Time
}

// New returns a writer that does nothing until Run.
func New(opts Options) *Writer {
	return &Writer{opts: opts, due: map[model.ID]time.Time{}, written: map[model.ID]written{}}
}

// Changed notes documents that have changed, or concern others than before.
func (w *Writer) Changed(ids map[model.ID]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range ids {
		w.due[id] = time.Time{}
	}
}

// Run writes until ctx ends, which is for as long as this replica leads; then it returns
// nil. It may be called again, and begins with every document.
func (w *Writer) Run(ctx context.Context) error {
	clear(w.written)
	all := map[model.ID]struct{}{}
	for _, id := range w.opts.Model.List() {
		all[id] = struct{}{}
	}
	w.Changed(all)
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		w.round(ctx, w.take(time.Now()))
	}
}

// take returns documents whose time has come, as many as fit a round. The others wait
// for the next.
func (w *Writer) take(now time.Time) []model.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var taken []model.ID
	for id, at := range w.due {
		if len(taken) < perRound && !at.After(now) {
			delete(w.due, id)
			// The MeshConfig's status is that of the one who follows it.
			if id.Kind != config.KindMeshConfig {
				taken = append(taken, id)
			}
		}
	}
	return taken
}

// again notes when to look at a document next, unless it has changed meanwhile.
func (w *Writer) again(id model.ID, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, noted := w.due[id]; !noted {
		w.due[id] = at
	}
}

// round looks at documents, and writes what is new.
func (w *Writer) round(ctx context.Context, ids []model.ID) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := make([]distribute.Revision, len(ids))
	standings := make([]model.Standing, len(ids))
	for i, id := range ids {
		standings[i], _ = w.opts.Model.Standing(id)
		asked[i] = distribute.Revision{Name: standings[i].Resource, Version: standings[i].Revision}
	}
	counts, silent := w.opts.Counts(ctx, asked)
	for i, id := range ids {
		if standings[i].Resource == "" {
			delete(w.written, id)
			continue // it is no more
		}
		f := finding{standing: standings[i], count: counts[i], silent: silent}
		if !standings[i].Invalid {
			f.advice = w.advise(id.Namespace)[standings[i].Resource]
		}
		w.settle(ctx, id, f)
	}
}

// advise is what is questionable in a namespace, which takes reading all of its
// documents; so it is kept until one changes.
func (w *Writer) advise(namespace string) map[string][]config.Problem {
	if now := w.opts.Model.Edition(); w.advice == nil || w.edition != now {
		w.edition, w.advice = now, map[string]map[string][]config.Problem{}
	}
	if w.advice[namespace] == nil {
		w.advice[namespace] = w.opts.Model.Advice(namespace)
	}
	return w.advice[namespace]
}

// settle writes a document's status if it is new, and notes when to look again.
func (w *Writer) settle(ctx context.Context, id model.ID, f finding) {
	now := time.Now()
	before, ok := w.before(id, now)
	if !ok {
		return
	}
	after := f.status(before)
	next := settled
	if after.Sidecars.Programmed < after.Sidecars.Total || len(f.silent) > 0 {
		next = later
	}
	w.again(id, now.Add(next))
	if reflect.DeepEqual(before, after) {
		return
	}
	err := w.write(ctx, id, f.standing.Generation, after)
	switch {
	case err == nil:
		w.written[id] = written{after, now}
	case ctx.Err() != nil || apierrors.IsNotFound(err) || apierrors.IsInvalid(err):
		// It is no more, or of another generation, which is on its way here.
	default:
		w.opts.Log.Warn("the status of a policy is not written", "policy", f.standing.Resource, "err", err)
	}
}

// before is the status there is: what was written lately, or what the API server has.
func (w *Writer) before(id model.ID, now time.Time) (v1alpha1.PolicyStatus, bool) {
	seen, ok := w.opts.Status(id)
	if own, lately := w.written[id]; ok && lately && now.Sub(own.at) < stale {
		return own.status, true
	}
	return seen, ok
}

// write replaces the status, unless the document is of another generation by now.
func (w *Writer) write(ctx context.Context, id model.ID, generation int64, status v1alpha1.PolicyStatus) error {
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/generation", "value": generation},
		{"op": "add", "path": "/status", "value": status}, // replaces one that is there, RFC 6902 §4.1
	})
	if err != nil {
		return err
	}
	for _, r := range v1alpha1.Resources() {
		if r.Kind == string(id.Kind) {
			_, err = w.opts.Client.Resource(r.GroupVersionResource()).Namespace(id.Namespace).
				Patch(ctx, id.Name, types.JSONPatchType, patch, metav1.PatchOptions{}, "status")
			return err
		}
	}
	return fmt.Errorf("%s is no kind of ours", id.Kind)
}
