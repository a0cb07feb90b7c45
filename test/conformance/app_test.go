package conformance_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// facts are what the application saw of a request.
type facts struct {
	Method, Target, Proto, Host string
	Length                      int64 // Content-Length; -1 when there was none
	Chunked                     bool
	Size                        int64
	SHA256                      string
	Header, Trailer             http.Header
}

const greeting = "a greeting that is long enough to be worth compressing, worth compressing, worth compressing\n"

// app answers as the path says.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", echoFacts)
	mux.HandleFunc("/greeting", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "greeting.txt", time.Unix(1_700_000_000, 0), strings.NewReader(greeting))
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			io.WriteString(w, greeting)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, greeting)
		z.Close()
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for _, piece := range strings.SplitAfter(greeting, " ") {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-Sum", digest([]byte(greeting)))
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, greeting)
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) { // without reading the body
		w.Header().Set("Connection", "close")
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, greeting)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/greeting", http.StatusFound)
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2; Path=/")
	})
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) })
	// The path as it came, not as ServeMux would redirect it.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/echo") || r.RequestURI == "*" {
			echoFacts(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func echoFacts(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(facts{
		Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Length: r.ContentLength, Chunked: len(r.TransferEncoding) > 0,
		Size: n, SHA256: hex.EncodeToString(sum.Sum(nil)), Header: r.Header, Trailer: r.Trailer,
	})
}

func parseFacts(t *testing.T, b []byte) facts {
	t.Helper()
	var f facts
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("the application's answer %.200q: %v", b, err)
	}
	return f
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
