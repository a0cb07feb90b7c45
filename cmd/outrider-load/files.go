package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile writes a file as a whole or not at all. What is there and no plain file,
// such as /dev/stdout or a pipe, is written to in place: it must not be replaced.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := beside(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if f.Name() == path {
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	const mode = 0o644 // as any other file that is not secret; CreateTemp is stricter
	if err := errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// beside opens a new file that can take the place of path, or path itself where
// that is no plain file.
func beside(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, errors.New("it is a directory")
	case err == nil && !info.Mode().IsRegular():
		return os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".outrider-load-*")
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, of.Err // its path is of no interest to anybody
	}
	return f, err
}

// writable tells whether writeFile could write there now, and leaves nothing.
func writable(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil // opening a pipe would wait for its reader
	}
	f, err := beside(path)
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
