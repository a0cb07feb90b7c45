package main

import (
	"strings"
	"testing"
)

const passing = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"pass","Package":"p","Elapsed":0.2}
`

func TestReport(t *testing.T) {
	cases := []struct {
		name   string
		events string
		least  int
		out    []string // each must be printed
		absent []string // none must be printed
		err    string   // "" when all is well
	}{
		{
			name: "a package that passes is one line", events: passing, least: 1,
			out: []string{"ok    p ", "1 tests\n", "1 tests passed, 0 failed, 0 skipped"}, absent: []string{"=== RUN", "SKIPPED"},
		},
		{
			name: "too few tests are an error", events: passing, least: 2,
			err: "only 1 tests ran, want at least 2",
		},
		{
			name: "no events at all are an error", events: "", least: 1,
			err: "only 0 tests ran",
		},
		{
			name: "a skipped test is listed with its reason", least: 0,
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: nginx is not installed\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			out: []string{"SKIPPED", "p: TestA: nginx is not installed", "0 tests, 1 skipped"},
		},
		{
			name: "a suite says what it has tried", least: 0,
			events: `{"Action":"attr","Package":"p","Test":"TestA","Key":"cases","Value":"146 cases of h2spec"}
{"Action":"attr","Package":"p","Test":"TestA","Key":"colour","Value":"blue"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			out: []string{"Tried, among others:\n  p: TestA: 146 cases of h2spec\n"}, absent: []string{"blue"},
		},
		{
			name: "a skip without a reason says so", least: 0,
			events: `{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			out: []string{"p: TestA: no reason given"},
		},
		{
			name: "a skip with an empty reason says so", least: 0,
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: \n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			out: []string{"p: TestA: no reason given"},
		},
		{
			name: "what a failed test printed is printed", least: 1,
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":1}
`,
			out: []string{"got 1, want 2", "FAIL  p", "1 of 1 tests failed"}, absent: []string{"=== RUN"}, err: "p: TestA",
		},
		{
			name: "a package that fails outside of its tests fails", least: 1,
			events: `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"goleak: found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}
`,
			out: []string{"found unexpected goroutines"}, err: "p",
		},
		{
			name: "a test that never ended is named", least: 0,
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
`,
			out: []string{"panic: test timed out"}, err: "p: TestA (did not end)",
		},
		{
			name: "a build failure is printed and named", least: 0,
			events: `{"ImportPath":"p","Action":"build-output","Output":"a.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p"}
`,
			out: []string{"undefined: x"}, err: "p (build)",
		},
		{
			name: "a line that is no event is passed on", events: "go: downloading x\n" + passing, least: 1,
			out: []string{"go: downloading x\n"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			err := r.finish(c.least)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			for _, s := range c.out {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, out.String())
				}
			}
			for _, s := range c.absent {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q:\n%s", s, out.String())
				}
			}
		})
	}
}
