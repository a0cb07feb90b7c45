package feed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A snapshot is what one read found: files, or why there are none to be had.
type snapshot struct {
	files   []config.File
	ignored []string
	err     error
}

// sum identifies the snapshot. Errors count by their text, so that one which
// stays is met once.
func (s snapshot) sum() [sha256.Size]byte {
	h := sha256.New()
	part := func(data []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
		h.Write(data)
	}
	for _, f := range s.files {
		part([]byte(f.Name))
		part(f.Data)
	}
	if s.err != nil {
		part([]byte(s.err.Error()))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (s snapshot) names() []string {
	names := make([]string, len(s.files))
	for i, f := range s.files {
		names[i] = f.Name
	}
	return names
}

// readDirectory reads all documents of a directory, or none.
func readDirectory(dir string) snapshot {
	names, ignored, err := list(dir)
	if err != nil {
		return snapshot{err: fmt.Errorf("list policy documents: %w", err)}
	}
	s := snapshot{ignored: ignored}
	left := maxBytes
	for _, name := range names {
		data, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return snapshot{err: fmt.Errorf("read policy documents: %w", err)}
		}
		if left -= len(data); left < 0 {
			return snapshot{err: fmt.Errorf("read policy documents: %q holds more than the %d bytes allowed", dir, maxBytes)}
		}
		s.files = append(s.files, config.File{Name: filepath.Join(dir, name), Data: data})
	}
	return s
}

// list returns the names of document files and of other files, sorted. Hidden
// names are the kubelet's and editors' own business.
func list(dir string) (names, ignored []string, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if len(entries) > maxEntries {
		return nil, nil, fmt.Errorf("%q holds more than %d files", dir, maxEntries)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, ".") || e.IsDir():
		case document(name):
			names = append(names, name)
		default:
			ignored = append(ignored, name)
		}
	}
	if len(names) > maxFiles {
		return nil, nil, fmt.Errorf("%q holds %d documents, more than the %d allowed", dir, len(names), maxFiles)
	}
	slices.Sort(names)
	slices.Sort(ignored)
	return names, ignored, nil
}

func document(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

// readFile reads a byte more than a file may have, so that the parser reports
// it. Anything but a regular file, such as a pipe, could make us wait.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strict.MaxBytes+1))
}

// A tracker tells a new state of a source from the one it returned last.
type tracker struct {
	read func() snapshot
	any  bool // next has returned a state
	seen [sha256.Size]byte
}

// next returns the state of the source if it is another than last time and two
// reads, settle apart, agree on it. It gives up without a result when the
// context ends.
func (t *tracker) next(ctx context.Context, settle time.Duration) (snapshot, bool) {
	s := t.read()
	sum := s.sum()
	if t.any && sum == t.seen {
		return s, false
	}
	for range maxReads {
		if !pause(ctx, settle) {
			return snapshot{}, false
		}
		again := t.read()
		last := sum
		if s, sum = again, again.sum(); sum == last {
			return s, t.remember(sum)
		}
	}
	s = snapshot{err: fmt.Errorf("the files change faster than they can be read: gave up after %d reads", maxReads)}
	return s, t.remember(s.sum())
}

// remember tells whether the state is new.
func (t *tracker) remember(sum [sha256.Size]byte) bool {
	changed := !t.any || sum != t.seen
	t.any, t.seen = true, sum
	return changed
}

// pause tells whether the context is still good after d.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
