// Package bench measures the control plane's push: a process with the parts that
// outrider-injector runs (informers, model, xDS server) over a made-up cluster, and
// another one with thousands of sidecars that are connected to it over mutual TLS.
package bench
