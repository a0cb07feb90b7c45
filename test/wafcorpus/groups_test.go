package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestGroupsSayWhatStoppedThem(t *testing.T) {
	samples := filepath.Join(t.TempDir(), "a.jsonl")
	write(t, samples, `{"label":"benign","id":"jobs/a:1","method":"POST","target":"/v1/jobs","headers":[["Host","a.example"],["Content-Type","application/json"]],"body":"{\"run\":\"x; wget example.com/a\"}"}
{"label":"benign","id":"jobs/a:2","method":"GET","target":"/v1/jobs","headers":[["Host","a.example"]]}
{"label":"benign","id":"list/b:1","method":"GET","target":"/v1/list","headers":[["Host","a.example"]]}
{"label":"attack","id":"list/c:1","method":"GET","target":"/?q=1%27%20or%20%271%27=%271","headers":[["Host","a.example"]]}
`)
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-groups", samples}, &out, &log); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"jobs", "2", "0", "1", "50.00", "%", "9.45–90.55", "outrider/shell-chain", "1"},
		{"list", "1", "0", "0", "0.00", "%", "0.00–79.35"},
		{"all", "3", "0", "1", "33.33", "%", "6.15–79.23", "outrider/shell-chain", "1"},
	}
	found := 0
	for line := range strings.Lines(out.String()) {
		for _, w := range want {
			if strings.Join(strings.Fields(line), " ") == strings.Join(w, " ") {
				found++
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d lines in %s", found, len(want), &out)
	}
}
