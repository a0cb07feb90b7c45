package config

import (
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/authz"
)

// An InspectionPolicy says what the WAF does with calls to some workloads.
type InspectionPolicy struct {
	Metadata Metadata       `yaml:"metadata"`
	Spec     InspectionSpec `yaml:"spec"`
}

// InspectionSpec is what an InspectionPolicy says.
type InspectionSpec struct {
	// Selector narrows the policy to some workloads of its namespace; nil
	// selects all of them.
	Selector *authz.Selector `yaml:"selector,omitempty"`
	// Paths narrow the policy to some request paths, written as in an
	// AccessPolicy; empty means all.
	Paths []string `yaml:"paths,omitempty"`
	// Mode is Block when empty.
	Mode InspectionMode `yaml:"mode,omitempty"`
	// Profile is the rule set; ProfileMesh when empty.
	Profile Profile `yaml:"profile,omitempty"`
	// Paranoia is the CRS paranoia level, 1 (also when 0) to 4.
	Paranoia int `yaml:"paranoia,omitempty"`
	// Threshold is the anomaly score from which a request counts as an
	// attack; 0 means 5, which one critical rule reaches.
	Threshold int            `yaml:"threshold,omitempty"`
	Body      InspectionBody `yaml:"body,omitempty"`
	GRPC      InspectionGRPC `yaml:"grpc,omitempty"`
	OnFailure OnFailure      `yaml:"onFailure,omitempty"`
	// Callers override Mode; the first entry that lists the caller counts.
	Callers []CallerMode `yaml:"callers,omitempty"`
	// Exclusions take back rules that are wrong about this workload.
	Exclusions []Exclusion `yaml:"exclusions,omitempty"`
	// Rules is SecLang, added after the rule set.
	Rules string `yaml:"rules,omitempty"`
}

// InspectionBody says how much of a body is inspected.
type InspectionBody struct {
	// InspectBytes is where inspection stops; 0 means 16,384.
	InspectBytes int `yaml:"inspectBytes,omitempty"`
	// Overflow is what happens to a longer body; InspectPrefix when empty.
	Overflow Overflow `yaml:"overflow,omitempty"`
}

// InspectionGRPC says how much of gRPC calls over HTTP/2 is inspected. The calls of
// gRPC-Web have bodies that end and are inspected as such.
type InspectionGRPC struct {
	// Inspect is GRPCHeaders when empty.
	Inspect GRPCInspection `yaml:"inspect,omitempty"`
	// Streaming is what happens to further messages of a request, where the first is
	// inspected; InspectFirst when empty.
	Streaming GRPCStreaming `yaml:"streaming,omitempty"`
}

// OnFailure says what happens to a request that could not be inspected. Each
// is FailDeny when empty.
type OnFailure struct {
	// Error: the engine failed, or the body's coding is unknown.
	Error FailureMode `yaml:"error,omitempty"`
	// Timeout: inspection took longer than its budget.
	Timeout FailureMode `yaml:"timeout,omitempty"`
	// Overload: no inspection slot was free in time.
	Overload FailureMode `yaml:"overload,omitempty"`
}

// CallerMode is another mode for some callers.
type CallerMode struct {
	// Principals are SPIFFE IDs, written as in an AccessPolicy.
	Principals []string       `yaml:"principals"`
	Mode       InspectionMode `yaml:"mode"`
}

// An Exclusion takes one rule out, everywhere or for one parameter or path.
type Exclusion struct {
	// Rule is its id.
	Rule int `yaml:"rule"`
	// Parameter is the name of a query or body parameter; empty means all.
	Parameter string `yaml:"parameter,omitempty"`
	// Path is a request path, written as in an AccessPolicy; empty means all.
	Path string `yaml:"path,omitempty"`
	// Reason is for the people who find it later; required.
	Reason string `yaml:"reason"`
	// Expires is the first day, UTC, on which it no longer applies; the zero
	// date means never.
	Expires Date `yaml:"expires,omitempty"`
}

// Expired tells whether the exclusion no longer applies.
func (e Exclusion) Expired(now time.Time) bool {
	return !e.Expires.IsZero() && !now.Before(e.Expires.Time)
}

// A Date is a day in UTC, written 2027-01-31.
type Date struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("%q is not a date such as 2027-01-31", text)
	}
	d.Time = t
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (d Date) MarshalText() ([]byte, error) {
	return []byte(d.Format(time.DateOnly)), nil
}

// WithDefaults returns the spec with every empty field that has a default set
// to it.
func (s InspectionSpec) WithDefaults() InspectionSpec {
	s.Mode = or(s.Mode, Block)
	s.Profile = or(s.Profile, ProfileMesh)
	s.Paranoia = or(s.Paranoia, 1)
	s.Threshold = or(s.Threshold, 5)
	s.Body.InspectBytes = or(s.Body.InspectBytes, 16<<10)
	s.Body.Overflow = or(s.Body.Overflow, InspectPrefix)
	s.GRPC.Inspect = or(s.GRPC.Inspect, GRPCHeaders)
	s.GRPC.Streaming = or(s.GRPC.Streaming, InspectFirst)
	s.OnFailure.Error = or(s.OnFailure.Error, FailDeny)
	s.OnFailure.Timeout = or(s.OnFailure.Timeout, FailDeny)
	s.OnFailure.Overload = or(s.OnFailure.Overload, FailDeny)
	return s
}
