package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The conditions of a policy.
const (
	// Accepted tells whether the document is valid. One that is not changes
	// nothing: what was in force before stays.
	Accepted = "Accepted"
	// Programmed tells whether every sidecar that it concerns has it in force.
	Programmed = "Programmed"
)

// Reasons of the conditions.
const (
	// ReasonValid goes with Accepted.
	ReasonValid = "Valid"
	// ReasonInvalid goes with Accepted; Lint has the problems.
	ReasonInvalid = "Invalid"
	// ReasonComplete goes with Programmed: every sidecar acknowledged it.
	ReasonComplete = "Complete"
	// ReasonPending goes with Programmed: some sidecars have not answered yet.
	ReasonPending = "Pending"
	// ReasonRejected goes with Programmed: some sidecars refused it.
	ReasonRejected = "Rejected"
	// ReasonNoSidecars goes with Programmed: it concerns no sidecar.
	ReasonNoSidecars = "NoSidecars"
)

// PolicyStatus is what has become of a document.
type PolicyStatus struct {
	// ObservedGeneration is the generation of the document that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Accepted and Programmed.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Sidecars counts those that it concerns.
	Sidecars SidecarCounts `json:"sidecars,omitzero"`
	// Revision names the content that sidecars acknowledge.
	Revision string `json:"revision,omitempty"`
	// Lint is what is wrong or questionable in the document, at most MaxLint
	// findings.
	Lint []Finding `json:"lint,omitempty"`
}

// MaxLint bounds the findings that a status lists; one that is to be read by
// people needs no more.
const MaxLint = 32

// SidecarCounts say how far a document has come.
type SidecarCounts struct {
	// Programmed have it in force.
	Programmed int32 `json:"programmed,omitempty"`
	// Rejected refused it and keep the one before.
	Rejected int32 `json:"rejected,omitempty"`
	// Total are those that it concerns.
	Total int32 `json:"total,omitempty"`
	// Summary is "programmed/total", for kubectl's columns.
	Summary string `json:"summary,omitempty"`
}

// A Finding is one thing wrong or questionable in a document.
type Finding struct {
	// Code is stable, for programs.
	Code string `json:"code"`
	// Severity is Error or Warning.
	Severity Severity `json:"severity"`
	// Field is the path within the document, such as spec.rules[0].to[0].paths[1].
	Field string `json:"field,omitempty"`
	// Message is for people.
	Message string `json:"message"`
}

// Severity tells a mistake from advice.
type Severity string

// The severities.
const (
	SeverityError   Severity = "Error"
	SeverityWarning Severity = "Warning"
)

// Values lists them.
func (Severity) Values() []string { return []string{string(SeverityError), string(SeverityWarning)} }
