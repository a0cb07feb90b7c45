package config

import "time"

// Limits are the bounds an operator may set. A zero field means the default,
// which package limits holds together with its reason; negative values are
// refused.
type Limits struct {
	// Connections bounds the open connections of all listeners together.
	Connections int `yaml:"connections,omitempty"`
	// HeadBytes bounds a request or response head.
	HeadBytes int `yaml:"headBytes,omitempty"`
	// TargetBytes bounds a request target.
	TargetBytes int `yaml:"targetBytes,omitempty"`
	// HeaderCount bounds the fields of a head.
	HeaderCount int `yaml:"headerCount,omitempty"`
	// BodyBytes bounds a request body; 0 means unlimited.
	BodyBytes int64 `yaml:"bodyBytes,omitempty"`
	// IdleTimeout is how long a client may wait before its next request.
	IdleTimeout time.Duration `yaml:"idleTimeout,omitempty"`
	// HeadTimeout is how long a head may take from its first byte.
	HeadTimeout time.Duration `yaml:"headTimeout,omitempty"`
	// BodyTimeout is how long a read of a body may make no progress.
	BodyTimeout time.Duration `yaml:"bodyTimeout,omitempty"`
	// WriteTimeout is how long a write may make no progress.
	WriteTimeout time.Duration `yaml:"writeTimeout,omitempty"`
	// HandshakeTimeout is how long a TLS handshake may take.
	HandshakeTimeout time.Duration `yaml:"handshakeTimeout,omitempty"`
	// DetectTimeout is how long a client may stay silent before its server is
	// connected, which may speak first.
	DetectTimeout time.Duration `yaml:"detectTimeout,omitempty"`
	// TCPIdleTimeout is how long an opaque connection may carry nothing.
	TCPIdleTimeout time.Duration `yaml:"tcpIdleTimeout,omitempty"`
	// InspectionWait is how long a request may wait for its turn to be
	// inspected.
	InspectionWait time.Duration `yaml:"inspectionWait,omitempty"`
	// InspectionTimeout is how long the first part of an inspection may take.
	InspectionTimeout time.Duration `yaml:"inspectionTimeout,omitempty"`
	// UpstreamConnectTimeout is how long the next hop may take to accept.
	UpstreamConnectTimeout time.Duration `yaml:"upstreamConnectTimeout,omitempty"`
	// UpstreamResponseTimeout is how long the head of an answer may take.
	UpstreamResponseTimeout time.Duration `yaml:"upstreamResponseTimeout,omitempty"`
	// UpstreamIdleTimeout is how long an unused pooled connection is kept.
	UpstreamIdleTimeout time.Duration `yaml:"upstreamIdleTimeout,omitempty"`
	// UpstreamIdlePerDestination bounds unused pooled connections.
	UpstreamIdlePerDestination int `yaml:"upstreamIdlePerDestination,omitempty"`
	// UpstreamConnectionsPerDestination bounds all connections to one
	// destination.
	UpstreamConnectionsPerDestination int `yaml:"upstreamConnectionsPerDestination,omitempty"`
}
