package workload

import (
	"context"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A watcher receives what the Workload API sends, all on the goroutine that
// follows it.
type watcher struct {
	source *Source
	ctx    context.Context // the callbacks have no parameter for it
}

// OnX509ContextUpdate implements workloadapi.X509ContextWatcher. Of several
// SVIDs the first is the workload's default (SPIFFE Workload API, section 5.3).
func (w *watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	w.source.Publish(svid, update.Bundles)
	w.source.log.Info("identity received",
		"id", svid.ID.String(), "not_after", svid.Certificates[0].NotAfter, "bundles", update.Bundles.Len())
}

// OnX509ContextWatchError implements workloadapi.X509ContextWatcher. It is
// called once per attempt; the same failure again is no news.
func (w *watcher) OnX509ContextWatchError(err error) {
	if w.ctx.Err() != nil {
		return // our own end of the stream
	}
	err = explain(w.source.socket, err)
	if was := w.source.Current().Err; was != nil && was.Error() == err.Error() {
		return
	}
	w.source.Fail(err)
	w.source.log.Warn("no identity from the workload API", "err", err, "keeping", w.source.Current().SVID != nil)
}

// explain adds to an error of the Workload API what to check.
func explain(socket string, err error) error {
	switch status.Code(err) {
	case codes.PermissionDenied:
		return fmt.Errorf("workload API at %q: no registration entry matches this process (uid %d, gid %d), "+
			"or its agent has not learned of it yet; check the entry's selectors and parent: %w",
			socket, os.Getuid(), os.Getgid(), err)
	case codes.Unavailable:
		return fmt.Errorf("workload API at %q: nobody answers; check that the agent runs and that its socket is mounted here: %w",
			socket, err)
	case codes.Unimplemented:
		return fmt.Errorf("workload API at %q: whoever answers there does not serve X.509 SVIDs: %w", socket, err)
	default:
		return fmt.Errorf("workload API at %q: %w", socket, err)
	}
}
