package main

import (
	"fmt"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/test/wafcorpus/services"
)

// seed of the calls that are made up.
const seed = 1

// generated are benign calls between services, as samples.
func generated(n int) []corpus.Sample {
	all := make([]corpus.Sample, 0, n)
	for i, c := range services.Calls(seed, n) {
		s := corpus.Sample{
			ID: fmt.Sprintf("services/%s/%d", c.Shape, i), Label: corpus.Benign, Method: c.Method, Target: c.Target, Body: []byte(c.Body),
			Header: []corpus.Field{
				{Name: "Host", Value: c.Shape + ".shop.svc.cluster.local"},
				{Name: "User-Agent", Value: "checkout/1.4 Go-http-client/2.0"},
				{Name: "Accept", Value: "application/json"},
				{Name: "Traceparent", Value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			},
		}
		if c.Type != "" {
			s.Header = append(s.Header, corpus.Field{Name: "Content-Type", Value: c.Type}, corpus.Field{Name: "Content-Length", Value: fmt.Sprint(len(c.Body))})
		}
		all = append(all, s)
	}
	return all
}
