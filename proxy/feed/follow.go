package feed

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

// following says what to look at, and when.
type following struct {
	// dir is watched; interval is the time between looks without notice.
	dir      string
	interval time.Duration
	log      *slog.Logger
	check    func(context.Context)
}

// follow calls check once, then whenever something in dir may have changed and
// every interval, until the context ends. Calls don't overlap.
func follow(ctx context.Context, f following) {
	notices, failures, rewatch, closing := f.watch()
	defer closing()
	f.check(ctx)
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	var quiet <-chan time.Time // set while changes may still be arriving
	for {
		select {
		case <-ctx.Done():
			return
		case <-notices:
			if quiet == nil {
				quiet = time.After(debounce)
			}
			continue
		case err := <-failures:
			// As a rule that notices were lost: look now.
			f.log.Warn("watch policy files", "dir", f.dir, "err", err)
		case <-quiet:
			quiet = nil
		case <-ticker.C:
			// A directory that was replaced needs a new watch.
			rewatch()
		}
		f.check(ctx)
	}
}

// watch asks the kernel for notice. Without it the ticker has to do, and the
// channels stay silent.
func (f following) watch() (notices <-chan fsnotify.Event, failures <-chan error, rewatch, closing func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("no notice of changed files, looking every interval only", "dir", f.dir, "interval", f.interval, "err", err)
		return nil, nil, func() {}, func() {}
	}
	// An error means that there is no such directory now; check reports that.
	rewatch = func() { _ = w.Add(f.dir) }
	rewatch()
	return w.Events, w.Errors, rewatch, func() { _ = w.Close() }
}
