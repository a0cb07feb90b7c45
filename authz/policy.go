package authz

// A Policy is one AccessPolicy document. It is plain data, as decoded; only
// [Validate] says whether it makes sense.
type Policy struct {
	Metadata Metadata   `json:"metadata" yaml:"metadata"`
	Spec     PolicySpec `json:"spec" yaml:"spec"`
}

// Metadata names a policy and says where it applies.
type Metadata struct {
	// Name is unique within the namespace.
	Name string `json:"name" yaml:"name"`
	// Namespace is that of the workloads the policy applies to; empty for
	// every namespace.
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"`
	// Labels and Annotations are carried for their owners and not interpreted.
	Labels      map[string]string `json:"labels,omitempty" yaml:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty" yaml:"annotations,omitempty"`
}

// PolicySpec is what an AccessPolicy says.
type PolicySpec struct {
	// Selector narrows the policy to some workloads of its namespace; nil
	// selects all of them.
	Selector *Selector `json:"selector,omitempty" yaml:"selector,omitempty"`
	// Action is required.
	Action Action `json:"action" yaml:"action"`
	// Mode is Enforce when empty.
	Mode Mode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Rules are alternatives: one that matches is enough. A policy without
	// rules never matches, so an Allow without rules allows nothing.
	Rules []Rule `json:"rules,omitempty" yaml:"rules,omitempty"`
}

// A Selector chooses workloads by their labels.
type Selector struct {
	// MatchLabels must all be present on the workload; empty selects all.
	MatchLabels map[string]string `json:"matchLabels,omitempty" yaml:"matchLabels,omitempty"`
}

// Matches tells whether a workload with these labels is chosen; nil chooses all.
func (s *Selector) Matches(labels map[string]string) bool {
	if s == nil {
		return true
	}
	for key, want := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	return true
}

// Action is what a matching policy does.
type Action string

// The actions.
const (
	Allow Action = "Allow"
	Deny  Action = "Deny"
)

// Mode says whether a policy has an effect.
type Mode string

// The modes.
const (
	// Enforce is the mode of a policy that names none.
	Enforce Mode = "Enforce"
	// DryRun keeps a policy out of every decision; see [Set.Shadow].
	DryRun Mode = "DryRun"
)

// A Rule matches when one of From, one of To and all of When match. A part
// that is absent matches everything.
type Rule struct {
	From []From      `json:"from,omitempty" yaml:"from,omitempty"`
	To   []To        `json:"to,omitempty" yaml:"to,omitempty"`
	When []Condition `json:"when,omitempty" yaml:"when,omitempty"`
	// Limit makes a rule of an Allow policy allow so many calls and no more, and
	// a rule of a Deny policy deny no calls but those beyond; see [Limit].
	Limit *Limit `json:"limit,omitempty" yaml:"limit,omitempty"`
}

// From describes callers. Every field that is present must match; the values
// of a field are alternatives, and a not-field matches when none of its values
// does. A caller without identity matches no positive identity field and every
// negative one.
type From struct {
	// Principals are SPIFFE IDs: exact, "spiffe://domain/prefix*", "*suffix"
	// of the path in any trust domain, or "*" for any authenticated caller.
	Principals    []string `json:"principals,omitempty" yaml:"principals,omitempty"`
	NotPrincipals []string `json:"notPrincipals,omitempty" yaml:"notPrincipals,omitempty"`
	// Namespaces are those of IDs of the form spiffe://domain/ns/NAMESPACE/sa/NAME
	// in the workload's own trust domain, or in TrustDomains when those are given.
	Namespaces    []string `json:"namespaces,omitempty" yaml:"namespaces,omitempty"`
	NotNamespaces []string `json:"notNamespaces,omitempty" yaml:"notNamespaces,omitempty"`
	// ServiceAccounts are "namespace/name", or "name" in the policy's own
	// namespace; the trust domain is chosen as for Namespaces.
	ServiceAccounts    []string `json:"serviceAccounts,omitempty" yaml:"serviceAccounts,omitempty"`
	NotServiceAccounts []string `json:"notServiceAccounts,omitempty" yaml:"notServiceAccounts,omitempty"`
	// TrustDomains are names such as "cluster.local".
	TrustDomains    []string `json:"trustDomains,omitempty" yaml:"trustDomains,omitempty"`
	NotTrustDomains []string `json:"notTrustDomains,omitempty" yaml:"notTrustDomains,omitempty"`
	// IPBlocks are addresses or CIDR prefixes of whoever opened the connection.
	IPBlocks    []string `json:"ipBlocks,omitempty" yaml:"ipBlocks,omitempty"`
	NotIPBlocks []string `json:"notIPBlocks,omitempty" yaml:"notIPBlocks,omitempty"`
}

// To describes what is called, with fields and values combined as in [From].
// All but the ports exist for HTTP only.
type To struct {
	// Hosts are compared without regard to case; the port counts only where
	// the pattern has one.
	Hosts    []string `json:"hosts,omitempty" yaml:"hosts,omitempty"`
	NotHosts []string `json:"notHosts,omitempty" yaml:"notHosts,omitempty"`
	// Ports are the workload's own, 1 to 65535.
	Ports    []int `json:"ports,omitempty" yaml:"ports,omitempty"`
	NotPorts []int `json:"notPorts,omitempty" yaml:"notPorts,omitempty"`
	// Methods are case-sensitive.
	Methods    []string `json:"methods,omitempty" yaml:"methods,omitempty"`
	NotMethods []string `json:"notMethods,omitempty" yaml:"notMethods,omitempty"`
	// Paths are compared with the normalised path, without the query: exact,
	// "/prefix*", "*suffix", "*", or a template with "{*}" and "{**}" segments.
	Paths    []string `json:"paths,omitempty" yaml:"paths,omitempty"`
	NotPaths []string `json:"notPaths,omitempty" yaml:"notPaths,omitempty"`
}

// A Condition is about one request header, or about one fact of the connection.
// Where a header is repeated, an Allow needs every occurrence to match and a
// Deny needs one.
type Condition struct {
	// Header is the field's name, in any case.
	Header string `json:"header,omitempty" yaml:"header,omitempty"`
	// Connection is what else is known of the connection. Exactly one of the two
	// is given.
	Connection Fact     `json:"connection,omitempty" yaml:"connection,omitempty"`
	Values     []string `json:"values,omitempty" yaml:"values,omitempty"`
	NotValues  []string `json:"notValues,omitempty" yaml:"notValues,omitempty"`
}

// A Fact is one that a connection has, whatever it carries.
type Fact string

// The facts of connections.
const (
	// ServerName is the name that the caller asked for in its TLS handshake
	// (SNI), whose case does not matter; plaintext has none, nor do all callers.
	ServerName Fact = "serverName"
	// DestinationIP is the workload's address that was called.
	DestinationIP Fact = "destinationIP"
	// Listener is the name of the listener that took the connection.
	Listener Fact = "listener"
	// Transport is "tcp" or "quic".
	Transport Fact = "transport"
)

// A Workload is whom the policies protect.
type Workload struct {
	// Namespace and Name say which one it is; either may be empty outside of
	// Kubernetes.
	Namespace, Name string
	// Labels are what selectors look at.
	Labels map[string]string
	// TrustDomain is its own, for example "cluster.local". It is needed as soon
	// as a policy speaks of namespaces or service accounts.
	TrustDomain string
}

// selectedBy tells whether the policy applies to the workload.
func (w Workload) selectedBy(p *Policy) bool {
	if ns := p.Metadata.Namespace; ns != "" && ns != w.Namespace {
		return false
	}
	return p.Spec.Selector.Matches(w.Labels)
}

// id is how decisions and problems name the policy.
func (m Metadata) id() string {
	if m.Namespace == "" {
		return m.Name
	}
	return m.Namespace + "/" + m.Name
}
