package admin

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"time"
)

// How long the runtime is watched if the request doesn't say, and at most: an answer
// has to be written within the port's write timeout.
const (
	defaultCPUTime   = 30 * time.Second
	defaultTraceTime = time.Second
	maxProfileTime   = 80 * time.Second
)

// profiles serves the runtime's profiles where the tools look for them. It does
// without net/http/pprof, which makes 0.3 MiB of the binary: it reads profiles too, to
// subtract one from another, as go tool pprof does with -diff_base. And it never
// serves the command line, which may hold secrets.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", listProfiles)
	mux.HandleFunc("GET /debug/pprof/{name}", namedProfile)
	mux.HandleFunc("GET /debug/pprof/profile", collect(defaultCPUTime, pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /debug/pprof/trace", collect(defaultTraceTime, trace.Start, trace.Stop))
}

func listProfiles(w http.ResponseWriter, _ *http.Request) {
	lines := []string{
		"profile?seconds=30  use of the processor",
		"trace?seconds=1  what the scheduler and the collector do, for go tool trace",
	}
	for _, p := range pprof.Profiles() {
		lines = append(lines, fmt.Sprintf("%s?debug=1  %d entries", p.Name(), p.Count()))
	}
	slices.Sort(lines)
	plainText(w, http.StatusOK, lines...)
}

// namedProfile serves what the runtime has counted so far; with debug it is text.
func namedProfile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		plainText(w, http.StatusNotFound, "there is no such profile")
		return
	}
	if r.FormValue("seconds") != "" {
		plainText(w, http.StatusBadRequest, "this profile is of all time; fetch two, and compare them with go tool pprof -diff_base")
		return
	}
	debug, err := number(r, "debug", 0)
	if err != nil {
		plainText(w, http.StatusBadRequest, err.Error())
		return
	}
	if p.Name() == "heap" && r.FormValue("gc") != "" {
		runtime.GC()
	}
	contentType := "application/octet-stream"
	if debug != 0 {
		contentType = "text/plain; charset=utf-8"
	}
	described(w, contentType)
	_ = p.WriteTo(w, debug) // the client went away; there is nobody to tell
}

// collect serves what a collector has seen when the time is over or the client gone.
// Only one of a kind runs at a time.
func collect(unsaid time.Duration, start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seconds, err := number(r, "seconds", int(unsaid/time.Second))
		if span := time.Duration(seconds) * time.Second; err != nil || span <= 0 || span > maxProfileTime {
			plainText(w, http.StatusBadRequest, fmt.Sprintf("seconds must be a number from 1 to %d", int(maxProfileTime/time.Second)))
			return
		}
		described(w, "application/octet-stream")
		if err := start(w); err != nil {
			plainText(w, http.StatusServiceUnavailable, "start: "+err.Error())
			return
		}
		defer stop()
		timer := time.NewTimer(time.Duration(seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
}

// number is a value of the query, from 0 to 1000.
func number(r *http.Request, name string, unsaid int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return unsaid, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > 1000 {
		return 0, fmt.Errorf("%s must be a number up to 1000", name)
	}
	return int(n), nil
}

func described(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
