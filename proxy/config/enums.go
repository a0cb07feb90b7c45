package config

// Protocol is what a listener expects its connections to carry.
type Protocol string

// The protocols of a listener.
const (
	// Detect looks at the first bytes. It is the default.
	Detect Protocol = "Detect"
	// HTTP takes HTTP/1.1 and closes on anything else.
	HTTP Protocol = "HTTP"
	// TCP forwards bytes without looking at them.
	TCP Protocol = "TCP"
)

// Values lists what a document may say.
func (Protocol) Values() []string { return []string{string(Detect), string(HTTP), string(TCP)} }

// MTLSMode is whether callers must prove an identity.
type MTLSMode string

// The modes of mutual TLS. Empty means that nothing was said.
const (
	// Strict refuses plaintext.
	Strict MTLSMode = "Strict"
	// Permissive takes plaintext on the same port; such callers have no
	// identity.
	Permissive MTLSMode = "Permissive"
)

// Values lists what a document may say.
func (MTLSMode) Values() []string { return []string{string(Strict), string(Permissive)} }

// ConnectMode is what becomes of the HTTP method CONNECT.
type ConnectMode string

// The modes of CONNECT.
const (
	// ConnectRefuse answers 405. It is the default.
	ConnectRefuse ConnectMode = "Refuse"
	// ConnectForward passes it on as a tunnel.
	ConnectForward ConnectMode = "Forward"
)

// Values lists what a document may say.
func (ConnectMode) Values() []string { return []string{string(ConnectRefuse), string(ConnectForward)} }

// QUICMode is whether a destination is called over QUIC.
type QUICMode string

// The modes.
const (
	// QUICOff uses TCP. It is the default.
	QUICOff QUICMode = "Off"
	// QUICOn uses QUIC only.
	QUICOn QUICMode = "On"
	// QUICAuto uses QUIC where it works, and TCP elsewhere.
	QUICAuto QUICMode = "Auto"
)

// Values lists what a document may say.
func (QUICMode) Values() []string { return []string{string(QUICOff), string(QUICOn), string(QUICAuto)} }

// UnknownMode is what becomes of captured calls to destinations that are not
// configured.
type UnknownMode string

// The modes.
const (
	// UnknownRefuse refuses them. It is the default.
	UnknownRefuse UnknownMode = "Refuse"
	// UnknownPassthrough lets them out as they are: without mutual TLS, and
	// without knowing who answers.
	UnknownPassthrough UnknownMode = "Passthrough"
)

// Values lists what a document may say.
func (UnknownMode) Values() []string {
	return []string{string(UnknownRefuse), string(UnknownPassthrough)}
}

// AllowedMode is which allowed calls the access log records.
type AllowedMode string

// The modes of the access log.
const (
	// LogAll records every call. It is the default.
	LogAll AllowedMode = "All"
	// LogNone records refused calls only.
	LogNone AllowedMode = "None"
)

// Values lists what a document may say.
func (AllowedMode) Values() []string { return []string{string(LogAll), string(LogNone)} }

// DefaultAccess decides where no Allow policy selects the workload.
type DefaultAccess string

// The defaults.
const (
	// DefaultDeny refuses every call. It is the default.
	DefaultDeny DefaultAccess = "Deny"
	// DefaultAllowAuthenticated allows callers that proved an identity.
	DefaultAllowAuthenticated DefaultAccess = "AllowAuthenticated"
	// DefaultAllowAll allows every call.
	DefaultAllowAll DefaultAccess = "AllowAll"
)

// Values lists what a document may say.
func (DefaultAccess) Values() []string {
	return []string{string(DefaultDeny), string(DefaultAllowAuthenticated), string(DefaultAllowAll)}
}

// InspectionMode is what becomes of an attack.
type InspectionMode string

// The modes of inspection.
const (
	// Block refuses it. It is the default.
	Block InspectionMode = "Block"
	// DetectOnly lets it pass and records it.
	DetectOnly InspectionMode = "Detect"
	// Off inspects nothing.
	Off InspectionMode = "Off"
)

// Values lists what a document may say.
func (InspectionMode) Values() []string {
	return []string{string(Block), string(DetectOnly), string(Off)}
}

// Profile is a rule set.
type Profile string

// The rule sets.
const (
	// ProfileMesh is ours, made for calls between services. It is the default.
	ProfileMesh Profile = "mesh"
	// ProfileCRS is the OWASP Core Rule Set as published.
	ProfileCRS Profile = "crs"
)

// Values lists what a document may say.
func (Profile) Values() []string { return []string{string(ProfileMesh), string(ProfileCRS)} }

// Overflow is what happens to a body longer than what is inspected.
type Overflow string

// The ways with a longer body.
const (
	// InspectPrefix inspects the first part and lets the rest pass. It is the
	// default.
	InspectPrefix Overflow = "InspectPrefix"
	// OverflowDeny refuses the request.
	OverflowDeny Overflow = "Deny"
	// OverflowPass lets the body pass and inspects the head only.
	OverflowPass Overflow = "Pass"
)

// Values lists what a document may say.
func (Overflow) Values() []string {
	return []string{string(InspectPrefix), string(OverflowDeny), string(OverflowPass)}
}

// GRPCInspection is how much of a gRPC call is inspected.
type GRPCInspection string

// The amounts.
const (
	// GRPCHeaders inspects the head. It is the default.
	GRPCHeaders GRPCInspection = "Headers"
	// GRPCUnary inspects the first message of the request as well, before the call
	// goes on: all that a unary call, or one with a streamed answer, asks.
	GRPCUnary GRPCInspection = "Unary"
)

// Values lists what a document may say.
func (GRPCInspection) Values() []string {
	return []string{string(GRPCHeaders), string(GRPCUnary)}
}

// GRPCStreaming is what happens to a gRPC call whose request has more than one
// message.
type GRPCStreaming string

// The ways with more messages.
const (
	// InspectFirst inspects the first and lets the others pass. It is the default.
	InspectFirst GRPCStreaming = "InspectFirst"
	// StreamingDeny refuses the call.
	StreamingDeny GRPCStreaming = "Deny"
)

// Values lists what a document may say.
func (GRPCStreaming) Values() []string {
	return []string{string(InspectFirst), string(StreamingDeny)}
}

// FailureMode is what happens to a request that could not be inspected.
type FailureMode string

// The failure modes.
const (
	// FailDeny refuses it. It is the default.
	FailDeny FailureMode = "Deny"
	// FailAllow lets it pass and counts it.
	FailAllow FailureMode = "Allow"
)

// Values lists what a document may say.
func (FailureMode) Values() []string { return []string{string(FailDeny), string(FailAllow)} }
