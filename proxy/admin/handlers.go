package admin

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

// healthHandler says only names: the port is open to the network.
func healthHandler(options Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, _ *http.Request) {
		ready(w, options.Readiness.Missing())
	})
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) {
		plainText(w, http.StatusOK, "live")
	})
	if options.Probes != nil {
		mux.Handle("GET /probe/", options.Probes)
	}
	return mux
}

func ready(w http.ResponseWriter, missing []string) {
	if len(missing) > 0 {
		plainText(w, http.StatusServiceUnavailable, missing...)
		return
	}
	plainText(w, http.StatusOK, "ready")
}

func metricsHandler(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	return mux
}

// adminHandler serves what the options hold, and an index of it. What streams ends
// when closing is closed.
func adminHandler(options Options, closing <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	var index []string
	handle := func(pattern, help string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, h)
		index = append(index, pattern+"  "+help)
	}

	handle("GET /ready", "what the sidecar waits for, with reasons", func(w http.ResponseWriter, _ *http.Request) {
		ready(w, options.Readiness.explain())
	})
	handle("GET /version", "the running build", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, buildinfo.Version())
	})
	if options.ConfigDump != nil {
		handle("GET /config_dump", "configuration and policies in force", jsonOf(options.ConfigDump))
	}
	if options.Connections != nil {
		handle("GET /connections", "open connections", jsonOf(options.Connections))
	}
	if options.Decision != nil {
		handle("GET /decisions/{id}", "why something was refused, by its decision id", decisionOf(options.Decision))
	}
	if options.Decisions != nil {
		handle("GET /decisions", "the newest refusals; with ?follow everything that is decided from now on", decisionsOf(options, closing))
	}
	if options.Drain != nil {
		handle("POST /drain", "stop accepting and finish what is open", actionOf(options.Drain, "draining"))
	}
	if options.Quit != nil {
		handle("POST /quitquitquit", "drain, then exit", actionOf(options.Quit, "quitting"))
	}
	profiles(mux)
	index = append(index, "GET /debug/pprof/  profiles of the Go runtime")

	slices.Sort(index)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plainText(w, http.StatusOK, index...)
	})

	// A page in a browser on this machine can reach loopback too. Reading is
	// prevented by the check of Host (its name resolves to us, but stays its
	// name), writing also by the check of where the request comes from.
	return localOnly(http.NewCrossOriginProtection().Handler(mux))
}

func jsonOf(value func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, value()) }
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		plainText(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(body, '\n')) // the client went away; there is nobody to tell
}

// maxDecisions bounds a list; each record has some 700 bytes.
const maxDecisions = 100

// records are JSON already.
func records(lines [][]byte) []json.RawMessage {
	all := make([]json.RawMessage, len(lines))
	for i, line := range lines {
		all[i] = line
	}
	return all
}

func decisionsOf(options Options, closing <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("follow") && options.Follow != nil {
			follow(w, r, options.Follow, closing)
			return
		}
		writeJSON(w, records(options.Decisions(maxDecisions)))
	}
}

func decisionOf(find func(id string) ([]byte, bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		record, ok := find(r.PathValue("id"))
		if !ok {
			plainText(w, http.StatusNotFound, "no refusal of that id is kept; the access log has older ones, and what was allowed")
			return
		}
		writeJSON(w, json.RawMessage(record))
	}
}

func actionOf(action func(), done string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		action()
		plainText(w, http.StatusAccepted, done)
	}
}

// localOnly refuses requests whose Host is not this machine, which is how a
// page that rebinds its own name to 127.0.0.1 is told from a person.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost(r.Host) {
			plainText(w, http.StatusForbidden, "this port answers only to localhost and loopback addresses")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// localHost tells whether the value of a Host header names the loopback.
func localHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
