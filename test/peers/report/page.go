package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The lines between which a page holds the figures. Everything else of the page
// is written by people.
const (
	BeginMarker = "<!-- bench-peers: begin. Written by make bench-peers; do not edit. -->"
	EndMarker   = "<!-- bench-peers: end -->"
)

// maxPage bounds a page, in bytes: the one in docs has some 20 KiB.
const maxPage = 1 << 20

// CheckPage tells whether WritePage will find its place.
func CheckPage(path string) error {
	text, err := readPage(path)
	if err == nil {
		_, _, err = around(text)
	}
	if err != nil {
		return fmt.Errorf("page %s: %w", path, err)
	}
	return nil
}

// WritePage replaces what stands between the two markers of a page by the report.
// The page is replaced as a whole or not at all.
func (r *Report) WritePage(path string) error {
	text, err := readPage(path)
	if err == nil {
		text, err = splice(text, r.Markdown())
	}
	if err == nil {
		err = replaceFile(path, text)
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
func splice(page, text string) (string, error) {
	before, after, err := around(page)
	if err != nil {
		return "", err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	whole := before + text + after
	if b, a, err := around(whole); err != nil || b != before || a != after {
		return "", errors.New("the figures would hold a marker themselves")
	}
	return whole, nil
}

// around cuts a page in two: up to and with the line of the first marker, and from
// the line of the second. Each must be there once, alone on its line.
func around(page string) (before, after string, err error) {
	begin, end, at := -1, -1, 0
	for line := range strings.Lines(page) {
		switch strings.TrimRight(line, "\r\n") {
		case BeginMarker:
			if begin >= 0 {
				return "", "", fmt.Errorf("the line %q is there twice", BeginMarker)
			}
			begin = at + len(line)
		case EndMarker:
			if end >= 0 {
				return "", "", fmt.Errorf("the line %q is there twice", EndMarker)
			}
			end = at
		}
		at += len(line)
	}
	switch {
	case begin < 0:
		return "", "", fmt.Errorf("the line %q is missing", BeginMarker)
	case end < 0:
		return "", "", fmt.Errorf("the line %q is missing", EndMarker)
	case end < begin:
		return "", "", fmt.Errorf("the line %q stands before the other marker", EndMarker)
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
