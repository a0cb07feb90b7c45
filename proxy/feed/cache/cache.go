// Package cache keeps what the control plane said last in a directory, for a sidecar
// that starts while the control plane is away.
//
// A file belongs to one workload and to one control plane, by their SPIFFE IDs, and is
// of no use to any other. It is replaced as a whole and carries a checksum, so that one
// which was cut off is known. A checksum keeps nobody out: what is read must belong to
// the sidecar's own user and be writable by nobody else. What can't be used is an error
// and nothing more; who reads it goes on as if there were none.
package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// The files of a directory.
const (
	// Documents has all documents of the workload.
	Documents = "documents"
	// Destinations has the destinations that it knew.
	Destinations = "destinations"
)

// maxBytes bounds a file: the contents, and some hundred bytes for each name.
const maxBytes = push.MaxDocumentBytes + 4<<20

// maxResources bounds what a file holds.
const maxResources = max(push.MaxDocuments+1, push.MaxDestinations)

// An Owner says whose a file is.
type Owner struct {
	// Workload is who was told.
	Workload spiffeid.ID
	// ControlPlane is who told it.
	ControlPlane spiffeid.ID
}

// A Content is what a file holds.
type Content struct {
	Owner Owner
	// Saved is when it was written, to the second.
	Saved time.Time
	// Resources are in no particular order.
	Resources []Resource
}

// A Resource is something that the control plane told.
type Resource struct {
	Name, Version string
	Body          []byte
}

// ErrNone is about a file that is not there.
var ErrNone = errors.New("nothing is kept yet")

// A Dir is a directory of such files. The zero Dir keeps nothing.
type Dir struct{ path string }

// At is the directory at a path, which need not be there yet; empty keeps nothing.
func At(path string) Dir { return Dir{path} }

// Keeps tells whether anything is kept.
func (d Dir) Keeps() bool { return d.path != "" }

// Save replaces a file.
func (d Dir) Save(name string, c Content) (err error) {
	if !d.Keeps() {
		return nil
	}
	text, err := c.encode()
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	// One process writes here. What is left of one that was killed is replaced.
	next := filepath.Join(d.path, name+".next")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := write(next, text); err != nil {
		_ = os.Remove(next) // the error of writing is the one to report
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.Rename(next, filepath.Join(d.path, name)); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// write makes a new file, all of it on disk.
func write(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Load returns what a file holds, if it is whole and the owner's.
func (d Dir) Load(name string, owner Owner) (Content, error) {
	if !d.Keeps() {
		return Content{}, ErrNone
	}
	path := filepath.Join(d.path, name)
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Content{}, ErrNone
	}
	if err != nil {
		return Content{}, fmt.Errorf("cache %q: %w", path, err)
	}
	c, err := decode(text)
	if err != nil {
		return Content{}, fmt.Errorf("cache %q: %w", path, err)
	}
	switch {
	case c.Owner.Workload != owner.Workload:
		err = fmt.Errorf("it is that of another workload, %q, and this one is %q", c.Owner.Workload, owner.Workload)
	case c.Owner.ControlPlane != owner.ControlPlane:
		err = fmt.Errorf("it is from another control plane, %q, and this one is %q", c.Owner.ControlPlane, owner.ControlPlane)
	}
	if err != nil {
		return Content{}, fmt.Errorf("cache %q: %w", path, err)
	}
	return c, nil
}

// read returns the text of a file that nobody else can have written.
func read(path string) ([]byte, error) {
	// A link, and a pipe that would make us wait, are not of our making.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch stat, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("others may write it (mode %04o)", info.Mode().Perm())
	case ok && int(stat.Uid) != os.Geteuid():
		return nil, fmt.Errorf("it belongs to the user %d, and this is %d", stat.Uid, os.Geteuid())
	case info.Size() > maxBytes:
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxBytes)
	}
	return io.ReadAll(io.LimitReader(f, maxBytes))
}
