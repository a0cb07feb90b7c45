package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestColorful(t *testing.T) {
	cases := []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"a terminal has colours", map[string]string{"TERM": "xterm-256color"}, true},
		{"NO_COLOR asks for none, whatever it says", map[string]string{"TERM": "xterm", "NO_COLOR": "0"}, false},
		{"an empty NO_COLOR asks for nothing", map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		{"a dumb terminal has none", map[string]string{"TERM": "dumb"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := colorful(func(name string) string { return c.env[name] }); got != c.want {
				t.Errorf("colorful = %v, want %v", got, c.want)
			}
		})
	}
}

func TestFilesAndBuffersAreNoTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) || isTerminal(new(bytes.Buffer)) {
		t.Error("a file or a buffer is taken for a terminal")
	}
}
