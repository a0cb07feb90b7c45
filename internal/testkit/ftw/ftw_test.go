package ftw

import (
	"bytes"
	"strconv"
	"testing"
)

// cases is how many there are in CRS 4.25.0.
const cases = 4674

func TestTheSuiteIsWhole(t *testing.T) {
	all, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < cases {
		t.Errorf("%d cases, want %d", len(all), cases)
	}
	stages, seen := 0, map[string]bool{}
	for _, c := range all {
		if seen[c.ID] {
			t.Errorf("case %s is there twice", c.ID)
		}
		seen[c.ID] = true
		for _, stage := range c.Stages {
			stages++
			w := stage.Want
			if w.Status == 0 && !w.Error && len(w.Log.IDs)+len(w.Log.NoIDs) == 0 && w.Log.Match == "" && w.Log.NoMatch == "" {
				t.Errorf("case %s expects nothing", c.ID)
			}
		}
	}
	if stages < len(all) {
		t.Errorf("%d cases have only %d requests", len(all), stages)
	}
	t.Attr("cases", strconv.Itoa(len(all)))
}

func TestRequestsAreCompleted(t *testing.T) {
	no, empty := false, ""
	tests := []struct {
		name string
		in   input
		want string
	}{
		{"nothing said", input{}, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"},
		{"nothing added", input{Complete: &no, Headers: map[string]string{"b": "2", "a": "1"}}, "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n"},
		{"a plain form is encoded", input{Method: "POST", Data: "a=<b>&c"}, "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 11\r\n\r\na=%3Cb%3E&c"},
		{"an encoded form stays", input{Method: "POST", Data: "a=%3C"}, "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 5\r\n\r\na=%3C"},
		{"no body", input{Method: "POST"}, "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"multipart has its line ends", input{Headers: map[string]string{"Content-Type": "multipart/form-data; boundary=b"}, Data: "--b\n"}, "GET / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nConnection: close\r\nContent-Length: 5\r\n\r\n--b\r\n"},
		{"a template", input{Complete: &no, Data: `{{ "ab" | repeat 3 }}`}, "GET / HTTP/1.1\r\n\r\nababab"},
		{"no version", input{Complete: &no, Version: &empty}, "GET / \r\n\r\n"},
		{"encoded", input{Encoded: "R0VU\nIC8="}, "GET /"},
	}
	if len(tests) < 9 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.wire()
			if err != nil || !bytes.Equal(got, []byte(tt.want)) {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
