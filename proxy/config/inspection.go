package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/authz"
)

// An InspectionPolicy says what the WAF does with calls to some workloads.
type InspectionPolicy struct {
	Metadata Metadata       `json:"metadata" yaml:"metadata"`
	Spec     InspectionSpec `json:"spec" yaml:"spec"`
}

// InspectionSpec is what an InspectionPolicy says.
type InspectionSpec struct {
	// Selector narrows the policy to some workloads of its namespace; nil
	// selects all of them.
	Selector *authz.Selector `json:"selector,omitempty" yaml:"selector,omitempty"`
	// Paths narrow the policy to some request paths, written as in an
	// AccessPolicy; empty means all.
	Paths []string `json:"paths,omitempty" yaml:"paths,omitempty"`
	// Mode is Block when empty.
	Mode InspectionMode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Profile is the rule set; ProfileMesh when empty.
	Profile Profile `json:"profile,omitempty" yaml:"profile,omitempty"`
	// Paranoia is the CRS paranoia level, 1 (also when 0) to 4.
	Paranoia int `json:"paranoia,omitempty" yaml:"paranoia,omitempty"`
	// Threshold is the anomaly score from which a request counts as an
	// attack; 0 means 5, which one critical rule reaches.
	Threshold int            `json:"threshold,omitempty" yaml:"threshold,omitempty"`
	Body      InspectionBody `json:"body,omitzero" yaml:"body,omitempty"`
	GRPC      InspectionGRPC `json:"grpc,omitzero" yaml:"grpc,omitempty"`
	OnFailure OnFailure      `json:"onFailure,omitzero" yaml:"onFailure,omitempty"`
	// CPUMillis is how many milliseconds of a processor the rules may take for one
	// request; what takes longer counts as timeout. 0 means 1,000.
	CPUMillis int `json:"cpuMillis,omitempty" yaml:"cpuMillis,omitempty"`
	// Rollout puts the policy into force for a part of the requests; nil means for
	// all.
	Rollout *Rollout `json:"rollout,omitempty" yaml:"rollout,omitempty"`
	// Callers have it otherwise; the first entry that lists the caller and has not
	// expired counts.
	Callers []CallerInspection `json:"callers,omitempty" yaml:"callers,omitempty"`
	// Exclusions take back rules that are wrong about this workload.
	Exclusions []Exclusion `json:"exclusions,omitempty" yaml:"exclusions,omitempty"`
	// Rules is SecLang, added after the rule set.
	Rules string `json:"rules,omitempty" yaml:"rules,omitempty"`
}

// InspectionBody says how much of a body is inspected.
type InspectionBody struct {
	// InspectBytes is where inspection stops; 0 means 16,384.
	InspectBytes int `json:"inspectBytes,omitempty" yaml:"inspectBytes,omitempty"`
	// Overflow is what happens to a longer body; InspectPrefix when empty.
	Overflow Overflow `json:"overflow,omitempty" yaml:"overflow,omitempty"`
}

// InspectionGRPC says how much of gRPC calls over HTTP/2 is inspected. The calls of
// gRPC-Web have bodies that end and are inspected as such.
type InspectionGRPC struct {
	// Inspect is GRPCHeaders when empty.
	Inspect GRPCInspection `json:"inspect,omitempty" yaml:"inspect,omitempty"`
	// Streaming is what happens to further messages of a request, where the first is
	// inspected; InspectFirst when empty.
	Streaming GRPCStreaming `json:"streaming,omitempty" yaml:"streaming,omitempty"`
}

// OnFailure says what happens to a request that could not be inspected, wholly or
// in part. Each is FailDeny when empty, but Stream, which is FailAllow.
type OnFailure struct {
	// Error: the engine failed.
	Error FailureMode `json:"error,omitempty" yaml:"error,omitempty"`
	// Timeout: inspection took longer than its budget.
	Timeout FailureMode `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	// Overload: no inspection slot was free in time.
	Overload FailureMode `json:"overload,omitempty" yaml:"overload,omitempty"`
	// Encoding: the body's content coding is unknown, there are several, or it
	// expands beyond measure.
	Encoding FailureMode `json:"encoding,omitempty" yaml:"encoding,omitempty"`
	// Arguments: there are more than are inspected. FailAllow inspects the first.
	Arguments FailureMode `json:"arguments,omitempty" yaml:"arguments,omitempty"`
	// Stream: a tunnel or a gRPC call, of which only the head is inspected.
	Stream FailureMode `json:"stream,omitempty" yaml:"stream,omitempty"`
}

// CallerInspection is what differs for some callers. What is empty is as in the
// policy.
type CallerInspection struct {
	// Principals are SPIFFE IDs, written as in an AccessPolicy.
	Principals []string       `json:"principals" yaml:"principals"`
	Mode       InspectionMode `json:"mode,omitempty" yaml:"mode,omitempty"`
	Profile    Profile        `json:"profile,omitempty" yaml:"profile,omitempty"`
	Paranoia   int            `json:"paranoia,omitempty" yaml:"paranoia,omitempty"`
	Threshold  int            `json:"threshold,omitempty" yaml:"threshold,omitempty"`
	Body       InspectionBody `json:"body,omitzero" yaml:"body,omitempty"`
	// Exclusions are added to those of the policy.
	Exclusions []Exclusion `json:"exclusions,omitempty" yaml:"exclusions,omitempty"`
	// Reason is for the people who find it later.
	Reason string `json:"reason,omitempty" yaml:"reason,omitempty"`
	// Expires is the first day, UTC, on which the entry no longer counts; the
	// zero date means never.
	Expires Date `json:"expires,omitzero" yaml:"expires,omitempty"`
}

// For is the spec as it holds for the callers of an entry.
func (s InspectionSpec) For(c CallerInspection) InspectionSpec {
	s.Mode = or(c.Mode, s.Mode)
	s.Profile = or(c.Profile, s.Profile)
	s.Paranoia = or(c.Paranoia, s.Paranoia)
	s.Threshold = or(c.Threshold, s.Threshold)
	s.Body.InspectBytes = or(c.Body.InspectBytes, s.Body.InspectBytes)
	s.Body.Overflow = or(c.Body.Overflow, s.Body.Overflow)
	s.Exclusions = slices.Concat(s.Exclusions, c.Exclusions)
	s.Callers = nil
	return s
}

// A Rollout is how a policy comes into force step by step, beside the one that it
// is to replace.
type Rollout struct {
	// Percent is the share of the requests, 1 to 100, for which the policy is asked.
	Percent int `json:"percent" yaml:"percent"`
	// Mode is DetectOnly when empty: the policy is tried on its share and recorded,
	// and what is next in line decides. With Block it decides about its share.
	Mode InspectionMode `json:"mode,omitempty" yaml:"mode,omitempty"`
}

// An Exclusion takes one rule out, everywhere or for one parameter or path.
type Exclusion struct {
	// Rule is its id.
	Rule int `json:"rule" yaml:"rule"`
	// Parameter is the name of a query or body parameter; empty means all. A
	// segment "*" stands for any index of an array: "json.items.*.name".
	Parameter string `json:"parameter,omitempty" yaml:"parameter,omitempty"`
	// Path is a request path, written as in an AccessPolicy; empty means all.
	Path string `json:"path,omitempty" yaml:"path,omitempty"`
	// Reason is for the people who find it later; required.
	Reason string `json:"reason" yaml:"reason"`
	// Expires is the first day, UTC, on which it no longer applies; the zero
	// date means never.
	Expires Date `json:"expires,omitzero" yaml:"expires,omitempty"`
}

// Expired tells whether the exclusion no longer applies.
func (e Exclusion) Expired(now time.Time) bool { return e.Expires.Passed(now) }

// A Date is a day in UTC, written 2027-01-31.
type Date struct{ time.Time }

// Passed tells whether the day has come; the zero date never does.
func (d Date) Passed(now time.Time) bool { return !d.IsZero() && !now.Before(d.Time) }

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

// UnmarshalJSON implements [json.Unmarshaler]: without it, that of the embedded
// time would want hours and minutes too.
func (d *Date) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s is not a date such as \"2027-01-31\"", data)
	}
	return d.UnmarshalText([]byte(text))
}

// MarshalJSON implements [json.Marshaler].
func (d Date) MarshalJSON() ([]byte, error) {
	return json.Marshal(d.Format(time.DateOnly))
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
	s.OnFailure.Encoding = or(s.OnFailure.Encoding, FailDeny)
	s.OnFailure.Arguments = or(s.OnFailure.Arguments, FailDeny)
	s.OnFailure.Stream = or(s.OnFailure.Stream, FailAllow)
	s.CPUMillis = or(s.CPUMillis, 1000)
	return s
}
