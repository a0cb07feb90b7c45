package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every engine decides every call as it should, and most of them are there.
func TestTheEnginesAgree(t *testing.T) {
	decided := 0
	for _, s := range shapes() {
		for _, n := range []int{1, 2, 30} {
			row, err := measure(s, n, 1, time.Microsecond, io.Discard)
			if err != nil {
				t.Errorf("%s, %d rules: %v", s.name, n, err)
			}
			for _, c := range row.cells {
				if c.present {
					decided++
				}
			}
		}
	}
	if decided != 3*(5+3) {
		t.Errorf("%d engines decided", decided)
	}
}

func TestADisagreementIsFound(t *testing.T) {
	s := shapes()[0]
	calls := s.calls(10)
	d, err := outrider(s, 9, calls) // lacks the last rule
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agrees(d, calls); err == nil {
		t.Error("an engine without the last rule agrees")
	}
}

func TestThePartOfThePageIsReplaced(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := run([]string{"--markdown", page}, io.Discard); err == nil {
		t.Error("a page that is not there was accepted")
	}
	text := "before\n" + beginMarker + "old\n" + endMarker + "after\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"--sizes", "10", "--rounds", "1", "--window", "1us", "--markdown", page}, io.Discard); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + beginMarker, endMarker + "after\n", "| rules | Outrider |", "cedar-go v", "Options: `--sizes 10 --rounds 1 --window 1us`"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Errorf("the old part is still there:\n%s", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v: %v", c.list, got)
		}
	}
}
