package waftool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// maxLine bounds a record, in bytes: the longest that a sidecar writes has some
	// 8 KiB.
	maxLine = 64 << 10
	// maxGroups bounds how many different detections are told apart: at some
	// hundred bytes each some ten megabytes.
	maxGroups = 50_000
)

var errTooMany = errors.New("too many different detections; read less of the log at a time")

// An event is what is read of a record of the access log.
type event struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Direction string    `json:"direction"`
	Decision  string    `json:"decision_id"`
	Path      string    `json:"path"`
	Source    struct {
		ID string `json:"id"`
	} `json:"source"`
	WAF struct {
		Outcome string  `json:"outcome"`
		Matches []match `json:"matches"`
		Trial   *struct {
			Outcome string  `json:"outcome"`
			Matches []match `json:"matches"`
		} `json:"trial"`
	} `json:"waf"`
}

type match struct {
	Rule     int    `json:"rule"`
	Location string `json:"location"`
}

// matches are the places in which an attack was seen; none where there was none.
func (e *event) matches() []match {
	if found(e.WAF.Outcome) {
		return e.WAF.Matches
	}
	if e.WAF.Trial != nil && found(e.WAF.Trial.Outcome) {
		return e.WAF.Trial.Matches
	}
	return nil
}

func found(outcome string) bool { return outcome == "detected" || outcome == "blocked" }

// readEvents yields the records of requests to the workload in which something was
// detected, and returns how many lines were none of a record.
func readEvents(r io.Reader, yield func(*event) error) (damaged int, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return damaged, fmt.Errorf("read the log: %w", err)
		}
		var e event
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case long || json.Unmarshal(line, &e) != nil:
			damaged++
		case e.Kind == "request" && e.Direction != "outbound" && len(e.matches()) > 0 && !strings.Contains(e.Path, "…"):
			if err := yield(&e); err != nil {
				return damaged, err
			}
		}
		if err != nil {
			return damaged, nil //nolint:nilerr // the end
		}
	}
}
