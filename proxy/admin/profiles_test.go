package admin_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/admin"
)

func TestProfiles(t *testing.T) {
	s := start(t, admin.Options{})
	cases := []struct {
		path   string
		status int
		holds  string // in a text
	}{
		{"/debug/pprof/", 200, "goroutine?debug=1  "},
		{"/debug/pprof/", 200, "profile?seconds=30  "},
		{"/debug/pprof/goroutine?debug=1", 200, "goroutine profile: total "},
		{"/debug/pprof/heap?debug=1&gc=1", 200, "heap profile: "},
		{"/debug/pprof/allocs?debug=1", 200, "heap profile: "},
		{"/debug/pprof/mutex?debug=1", 200, "--- mutex:"},
		{"/debug/pprof/nothing", 404, "no such profile"},
		{"/debug/pprof/cmdline", 404, "no such profile"},
		{"/debug/pprof/heap?seconds=3", 400, "-diff_base"},
		{"/debug/pprof/heap?debug=x", 400, "debug must be a number"},
		{"/debug/pprof/profile?seconds=0", 400, "from 1 to 80"},
		{"/debug/pprof/profile?seconds=81", 400, "from 1 to 80"},
		{"/debug/pprof/trace?seconds=1.5", 400, "from 1 to 80"},
	}
	if len(cases) < 12 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got := s.get(s.AdminAddr(), c.path)
		if got.status != c.status || !strings.Contains(got.body, c.holds) {
			t.Errorf("%s answers %d %.200q, want %d with %q", c.path, got.status, got.body, c.status, c.holds)
		}
	}
}

// go tool pprof reads protobuf messages compressed with gzip, go tool trace its own form.
func TestProfilesAreWhatToolsRead(t *testing.T) {
	s := start(t, admin.Options{})
	for _, path := range []string{"heap", "goroutine", "profile?seconds=1"} {
		got := s.get(s.AdminAddr(), "/debug/pprof/"+path)
		r, err := gzip.NewReader(strings.NewReader(got.body))
		if err != nil {
			t.Errorf("%s answers %d with no gzip: %v", path, got.status, err)
			continue
		}
		if message, err := io.ReadAll(r); err != nil || !bytes.Contains(message, []byte("samples")) && !bytes.Contains(message, []byte("count")) {
			t.Errorf("%s has %d bytes of no profile (%v)", path, len(message), err)
		}
	}
	if got := s.get(s.AdminAddr(), "/debug/pprof/trace?seconds=1"); got.status != 200 || !strings.HasPrefix(got.body, "go 1.") {
		t.Errorf("the trace answers %d %.20q", got.status, got.body)
	}
}
