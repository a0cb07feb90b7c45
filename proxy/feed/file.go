package feed

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// FileOptions configure a [File].
type FileOptions struct {
	// Path is the file.
	Path string
	// Interval is how often it is looked at even without notice; 0 means 10 s.
	Interval time.Duration
	// Log gets a line when the file can't be read; nil discards them.
	Log *slog.Logger
	// Changed is called, without overlap, each time the contents are others
	// than before. It reads the file itself. Required.
	Changed func()
}

// A File notices changes of one file, such as the sidecar's own.
type File struct {
	options FileOptions
	tracker tracker
	known   [32]byte // sum of the contents that Changed was called for last
}

// NewFile remembers the present contents. Make it before reading the file, so
// that no change in between is missed.
func NewFile(o FileOptions) *File {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &File{options: o}
	f.tracker = tracker{read: f.read}
	now := f.read()
	f.known = now.sum()
	f.tracker.remember(f.known)
	return f
}

func (f *File) read() snapshot {
	data, err := readFile(f.options.Path)
	if err != nil {
		return snapshot{err: err}
	}
	return snapshot{files: []config.File{{Name: f.options.Path, Data: data}}}
}

// Run follows the file until the context ends, which is no error. It is called
// at most once.
func (f *File) Run(ctx context.Context) error {
	follow(ctx, following{
		// The file may be replaced, and then has another inode: its
		// directory tells.
		dir: filepath.Dir(f.options.Path), interval: f.options.Interval, log: f.options.Log,
		check: f.check,
	})
	return nil
}

// check passes over errors: a file that is gone for a moment is no change.
func (f *File) check(ctx context.Context) {
	s, changed := f.tracker.next(ctx, settle)
	switch {
	case !changed:
	case s.err != nil:
		f.options.Log.Warn("watched file can't be read, going on with what it said before", "path", f.options.Path, "err", s.err)
	case s.sum() != f.known:
		f.known = s.sum()
		f.options.Changed()
	default:
		f.options.Log.Info("watched file can be read again, unchanged", "path", f.options.Path)
	}
}
