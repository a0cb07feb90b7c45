package config

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRelaxations(t *testing.T) {
	day := func(s string) Date {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return Date{d}
	}
	who := []string{"spiffe://x/a"}
	s := InspectionSpec{
		Paranoia:   2,
		Exclusions: []Exclusion{{Rule: 942100, Parameter: "q", Path: "/s", Reason: "r", Expires: day("2026-01-02")}, {Rule: 1}},
		OnFailure:  OnFailure{Timeout: FailAllow, Stream: FailAllow},
		Callers: []CallerInspection{
			{Principals: who, Mode: DetectOnly, Paranoia: 1, Threshold: 9, Reason: "tried", Expires: day("2026-01-03")},
			{Principals: who, Mode: Block, Paranoia: 3, Body: InspectionBody{Overflow: OverflowDeny}}, // stricter
			{Principals: who, Body: InspectionBody{InspectBytes: 10, Overflow: OverflowPass}},
			{Principals: who, Exclusions: []Exclusion{{Rule: 2, Expires: day("2026-02-02")}}, Expires: day("2026-01-01")},
		},
	}
	var got []string
	for _, r := range s.Relaxations() {
		got = append(got, fmt.Sprintf("%s: %s (%s), %s", r.Field, r.What, r.Reason, r.Until(day("2026-01-02").Time)))
	}
	want := []string{
		"spec.onFailure.timeout: what is not inspected for this reason passes (), never ends",
		"spec.exclusions[0]: rule 942100 is not applied to q on /s (r), ended 2026-01-02",
		"spec.exclusions[1]: rule 1 is not applied (), never ends",
		"spec.callers[0]: mode Detect, paranoia 1, threshold 9 for spiffe://x/a (tried), ends 2026-01-03",
		"spec.callers[2]: 10 bytes of a body, overflow Pass for spiffe://x/a (), never ends",
		"spec.callers[3].exclusions[0]: rule 2 is not applied for spiffe://x/a (), ended 2026-01-01",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
