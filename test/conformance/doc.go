// Package conformance puts Outrider between programs that others wrote: curl,
// nginx, wrk, openssl, Go's net/http, go-spiffe's TLS and a WebSocket library,
// each in the role or roles it can play. Two sidecars run inside of the test,
// assembled as in production and on ports that the system chooses.
//
// It holds tests only. README.md says what is covered. A test whose program is
// not installed is skipped with a line that says so; with CI=true in the
// environment it fails instead.
package conformance
