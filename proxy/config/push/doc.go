// Package push is what the control plane and a sidecar say to each other: the
// names of resource types and resources, who asks ([Node]), and what is known of
// an address ([Target]).
//
// They speak delta xDS, whose messages are those of go-control-plane; only the
// resources are ours, as JSON. A policy document is the text that a file would
// hold, so that the one strict reader of package config judges both.
//
// Everything here is bytes and values: who connects to whom is the business of
// proxy/ads and injector/distribute.
package push
