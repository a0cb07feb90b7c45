package reference

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
)

// maxInspected bounds what is read of a body, in bytes.
const maxInspected = 128 << 10

// filter refuses requests in whose query or body stands what no honest one of the
// benchmark's holds. It is no protection: it is there so that the benchmark's own
// test has a program that inspects and needs nothing installed.
func filter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInspected))
		if err != nil {
			http.Error(w, "body", http.StatusRequestEntityTooLarge)
			return
		}
		if suspicious(r.URL.RawQuery) || suspicious(string(body)) {
			http.Error(w, "attack", http.StatusForbidden)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// suspicious looks for quotes within a decoded value, where the benchmark's
// attacks have one and its honest requests have none but those of JSON.
func suspicious(text string) bool {
	if decoded, err := url.QueryUnescape(text); err == nil {
		text = decoded
	}
	return bytes.ContainsAny([]byte(text), "'<")
}
