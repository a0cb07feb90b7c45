// Package page writes what was measured into a page that people have written: each
// benchmark has a part of it between two marker lines, and nothing else is touched.
package page

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A Part is what stands between two lines of a page. Each of them must be there
// once, alone on its line.
type Part struct{ Begin, End string }

// maxPage bounds a page, in bytes: the one in docs has some 20 KiB.
const maxPage = 1 << 20

// Check tells whether Write will find its place.
func (p Part) Check(path string) error {
	text, err := readPage(path)
	if err == nil {
		_, _, err = p.around(text)
	}
	if err != nil {
		return fmt.Errorf("page %s: %w", path, err)
	}
	return nil
}

// Write replaces the part by a text. The page is replaced as a whole or not at all.
func (p Part) Write(path, text string) error {
	page, err := readPage(path)
	if err == nil {
		page, err = p.splice(page, text)
	}
	if err == nil {
		err = replaceFile(path, page)
	}
	if err != nil {
		return fmt.Errorf("page %s: %w", path, err)
	}
	return nil
}

func readPage(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err == nil && len(text) > maxPage {
		err = fmt.Errorf("it has more than %d bytes", maxPage)
	}
	return string(text), err
}

// splice puts text between the markers of a page.
func (p Part) splice(page, text string) (string, error) {
	before, after, err := p.around(page)
	if err != nil {
		return "", err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	whole := before + text + after
	if b, a, err := p.around(whole); err != nil || b != before || a != after {
		return "", errors.New("the figures would hold a marker themselves")
	}
	return whole, nil
}

// around cuts a page in two: up to and with the line of the first marker, and from
// the line of the second.
func (p Part) around(page string) (before, after string, err error) {
	begin, end, at := -1, -1, 0
	for line := range strings.Lines(page) {
		switch strings.TrimRight(line, "\r\n") {
		case p.Begin:
			if begin >= 0 {
				return "", "", fmt.Errorf("the line %q is there twice", p.Begin)
			}
			begin = at + len(line)
		case p.End:
			if end >= 0 {
				return "", "", fmt.Errorf("the line %q is there twice", p.End)
			}
			end = at
		}
		at += len(line)
	}
	switch {
	case begin < 0:
		return "", "", fmt.Errorf("the line %q is missing", p.Begin)
	case end < 0:
		return "", "", fmt.Errorf("the line %q is missing", p.End)
	case end < begin:
		return "", "", fmt.Errorf("the line %q stands before the other marker", p.End)
	}
	return page[:begin], page[end:], nil
}

// replaceFile writes a file beside the old one and puts it in its place.
func replaceFile(path, text string) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".page-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = io.WriteString(f, text)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
