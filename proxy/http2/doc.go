// Package http2 is an HTTP/2 engine for a proxy.
package http2
