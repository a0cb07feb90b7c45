package corpus

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Read reads files, and directories with all that is below them. The form of a
// file is told by its name: *.black is a raw attack, *.white a raw benign request,
// *.jsonl are JSON lines.
//
// An error means that there is no corpus: something that was named is not there,
// is no corpus, or is over a bound. What is wrong with single samples is part of
// the corpus.
func Read(ctx context.Context, paths ...string) (*Corpus, error) {
	r := reader{ctx: ctx, most: maxSamples, mostBytes: maxTotal, into: new(Corpus), ids: map[string]string{}}
	return r.read(paths)
}

func (r *reader) read(paths []string) (*Corpus, error) {
	for _, path := range paths {
		if err := r.named(path); err != nil {
			return nil, fmt.Errorf("read the corpus: %w", err)
		}
	}
	return r.into, nil
}

type reader struct {
	ctx context.Context // it lives as long as Read
	// Bounds of all that is read: files and samples, and their bytes.
	most      int
	mostBytes int64

	into  *Corpus
	ids   map[string]string // source by ID
	files int
	bytes int64
}

// named reads what the caller named.
func (r *reader) named(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return r.directory(path)
	}
	if form(path) == nil {
		return fmt.Errorf("%s: a sample ends in .black or .white, JSON lines in .jsonl", path)
	}
	return r.file(path, filepath.Base(path), "")
}

func (r *reader) directory(root string) error {
	// With a separator behind it, a link to a directory is followed.
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if r.files++; r.files > r.most {
			return fmt.Errorf("%s: more than %d files", root, r.most)
		}
		if err != nil {
			r.into.refuse(printable(path), "%v", err)
			return nil // it is a problem of this directory, and listed
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && below != "."
		switch {
		case hidden && d.IsDir():
			r.into.Ignored = append(r.into.Ignored, printable(below))
			return fs.SkipDir
		case d.IsDir():
			return nil
		case hidden || form(path) == nil:
			r.into.Ignored = append(r.into.Ignored, printable(below))
			return nil
		}
		below = filepath.ToSlash(below)
		top, _, nested := strings.Cut(below, "/")
		if !nested {
			top = ""
		}
		return r.file(path, below, printable(top))
	})
}

// printable is a name that may be printed whatever it is.
func printable(name string) string {
	if name == "" || checkName(name) == nil {
		return name
	}
	return strconv.QuoteToGraphic(name)
}

// form returns what reads a file of this name; nil for one that holds no samples.
func form(path string) func(r *reader, path, id, top string, f io.Reader) error {
	switch filepath.Ext(path) {
	case ".black":
		return func(r *reader, path, id, top string, f io.Reader) error { return r.raw(Attack, path, id, top, f) }
	case ".white":
		return func(r *reader, path, id, top string, f io.Reader) error { return r.raw(Benign, path, id, top, f) }
	case ".jsonl":
		return (*reader).lines
	}
	return nil
}

// file opens only what can be read to an end.
func (r *reader) file(path, id, top string) error {
	name := printable(path)
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		r.into.refuse(name, "%v", err)
		return nil
	}
	defer f.Close()
	return form(path)(r, name, id, top, f)
}

func (r *reader) raw(label Label, path, id, top string, f io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(f, maxSample+1))
	if err == nil && len(data) > maxSample {
		err = fmt.Errorf("longer than %d bytes", maxSample)
	}
	var s Sample
	if err == nil {
		s, err = parseRaw(data)
	}
	if err == nil {
		if err = checkName(id); err != nil {
			err = fmt.Errorf("its name %w", err)
		}
	}
	if err != nil {
		r.into.refuse(path, "%v", err)
		return nil
	}
	s.ID, s.Label, s.Source, s.Directory = id, label, path, top
	return r.add(s, len(data))
}

func (r *reader) lines(path, id, top string, f io.Reader) error {
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, maxLine)
	n := 0
	for scanner.Scan() {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		n++
		line := scanner.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		source := fmt.Sprintf("%s:%d", path, n)
		s, err := parseLine(line)
		if err != nil {
			r.into.refuse(source, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		if s.Source, s.Directory = source, top; s.ID == "" {
			s.ID = fmt.Sprintf("%s:%d", id, n)
		}
		if err := r.add(s, len(line)); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		r.into.refuse(fmt.Sprintf("%s:%d", path, n+1), "%v; nothing after this line was read", err)
	}
	return nil
}

// add takes a sample into the corpus. size is what it keeps in memory, about.
func (r *reader) add(s Sample, size int) error {
	if other, taken := r.ids[s.ID]; taken {
		r.into.refuse(s.Source, "its id %q is that of %s", s.ID, other)
		return nil
	}
	r.ids[s.ID] = s.Source
	r.bytes += int64(size)
	switch {
	case len(r.into.Samples) == r.most:
		return fmt.Errorf("more than %d samples", r.most)
	case r.bytes > r.mostBytes:
		return fmt.Errorf("more than %d bytes of samples; replay them in parts", r.mostBytes)
	}
	r.into.Samples = append(r.into.Samples, s)
	return nil
}
