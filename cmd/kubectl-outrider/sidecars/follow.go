package sidecars

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// maxLine, in bytes, bounds a record; the longest has some 8 KiB.
	maxLine = 64 << 10
	// silence ends a stream from which nothing comes: a sidecar sends an empty line
	// every five seconds.
	silence = 20 * time.Second
)

// A Line is a record as it came, and what was read of it.
type Line struct {
	Record

	// Text is the record, one line of JSON without its line break.
	Text []byte
}

// Lost tells whether the line says only how many records were lost.
func (l *Line) Lost() bool { return l.Kind == "lost" }

// Follow hands over everything that the sidecar decides from now on, until ctx ends,
// the sidecar does, or each returns an error. A line is valid during the call only.
func (p Pod) Follow(ctx context.Context, each func(*Line) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	answer, err := p.open(ctx, AdminPort, "/decisions?follow")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		quiet.Reset(silence)
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue // a sign of life
		}
		line := Line{Text: text}
		if json.Unmarshal(text, &line.Record) != nil {
			return fmt.Errorf("%s sends what is no record: %.100q", p, text)
		}
		if err := each(&line); err != nil {
			return err
		}
	}
	switch err := context.Cause(ctx); {
	case err != nil && !errors.Is(err, errSilent):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", p, err)
	case lines.Err() != nil:
		return fmt.Errorf("follow %s: %w", p, lines.Err())
	}
	return fmt.Errorf("%s: %w", p, ErrEnded)
}

// ErrEnded tells that a sidecar has ended its stream: it stops, or an hour has passed.
var ErrEnded = errors.New("the sidecar has ended the stream")

var errSilent = fmt.Errorf("nothing came for %s; is the pod still there?", silence)
