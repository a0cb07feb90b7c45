package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

func TestHeldIsOneTable(t *testing.T) {
	const mib = 1 << 20
	r := &Report{Held: &Held{
		Connections: 200, Bytes: 64 << 10, Seconds: 4,
		Holders: []Holder{{
			Peer: "outrider+waf", Start: 61 * mib, Idle: watch.Memory{RSS: 40 * mib, Anon: 27 * mib},
			Loads: []HeldLoad{
				{Name: "plain JSON", Peak: 87 * mib, Answered: 2560},
				{Name: "JSON with prose", Peak: 97 * mib, Answered: 1192, Refused: 128, FirstRefusal: "503"},
			},
			After: watch.Memory{RSS: 92 * mib, Anon: 78 * mib},
		}},
	}}
	const want = `| peer | until it served | idle | plain JSON | answered/s | refused/s | JSON with prose | answered/s | refused/s | after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| outrider+waf | 61.0 | 40.0 (27.0) | 87.0 | 640 | 0 | 97.0 | 298 | 32 | 92.0 (78.0) |
`
	_, got, _ := strings.Cut(r.HeldMarkdown(), "200 connections that send bodies of 64 KiB:\n\n")
	if diff := cmp.Diff(want, strings.TrimSuffix(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "97.0") {
		t.Errorf("the table is %q (%v)", table.String(), err)
	}
}
