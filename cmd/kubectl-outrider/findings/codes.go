package findings

// A Code names a kind of finding. Those below OUT200 are of package authz, about what
// policies say.
type Code string

// The codes of this package. A number is never used again for something else.
const (
	NotRead              Code = "OUT200"
	OldKubernetes        Code = "OUT201"
	NoDefinition         Code = "OUT202"
	DefinitionUnserved   Code = "OUT203"
	NoControlPlane       Code = "OUT204"
	ReplicasNotReady     Code = "OUT205"
	NoReplicaReady       Code = "OUT206"
	NoWebhook            Code = "OUT207"
	WebhookFailsOpen     Code = "OUT208"
	WebhookUntrusted     Code = "OUT209"
	CertificateExpired   Code = "OUT210"
	CertificateExpires   Code = "OUT211"
	LabelNotUnderstood   Code = "OUT301"
	PodWithoutSidecar    Code = "OUT302"
	PodRefused           Code = "OUT303"
	SidecarNotReady      Code = "OUT304"
	SidecarOutdated      Code = "OUT305"
	SidecarSilent        Code = "OUT306"
	SidecarsNotAsked     Code = "OUT307"
	NoSVID               Code = "OUT401"
	SVIDExpired          Code = "OUT402"
	SVIDExpires          Code = "OUT403"
	RootExpires          Code = "OUT404"
	PlaintextTaken       Code = "OUT405"
	PlaintextRefused     Code = "OUT406"
	PassedThrough        Code = "OUT407"
	PortWithoutProtocol  Code = "OUT501"
	DocumentInvalid      Code = "OUT601"
	DocumentQuestionable Code = "OUT602"
	DocumentRejected     Code = "OUT603"
	DocumentPending      Code = "OUT604"
	SelectsNothing       Code = "OUT605"
	MeshConfigIgnored    Code = "OUT606"
	PoliciesRefused      Code = "OUT607"
	ExclusionExpired     Code = "OUT608"
	ExclusionExpires     Code = "OUT609"
	Uninspected          Code = "OUT610"
)

// An Explanation is what there is to be known of a code.
type Explanation struct {
	Code     Code
	Severity Severity
	// Meaning is for the table of codes, Remedy for whoever finds it.
	Meaning, Remedy string
}

// Codes explains every code of this package, in order.
func Codes() []Explanation { return append([]Explanation(nil), codes[:]...) }

var codes = [...]Explanation{
	{NotRead, Warning, "Something could not be read, so what depends on it was not checked.", "ask for the right to read it, or run this as somebody who has it"},
	{OldKubernetes, Error, "The API server is older than 1.29, or no version of it can be read.", "upgrade to Kubernetes 1.29 or later, which has sidecar containers"},
	{NoDefinition, Error, "A CustomResourceDefinition of Outrider is not there.", "kubectl apply -k manifests/base"},
	{DefinitionUnserved, Error, "A CustomResourceDefinition is there and its version is not served.", "kubectl apply -k manifests/base, and look at the definition's conditions"},
	{NoControlPlane, Error, "The control plane is not installed.", "kubectl apply -k manifests/base"},
	{ReplicasNotReady, Warning, "Some replicas of the control plane are not ready.", "kubectl -n outrider-system describe pods -l app=outrider-injector"},
	{NoReplicaReady, Error, "No replica of the control plane is ready: labelled pods can't be created.", "kubectl -n outrider-system logs -l app=outrider-injector"},
	{NoWebhook, Error, "The webhook is not configured: no pod gets a sidecar.", "kubectl apply -k manifests/base"},
	{WebhookFailsOpen, Error, "The webhook's failurePolicy is Ignore: while it is away, labelled pods start without a sidecar.", "set failurePolicy: Fail, as manifests/base has it"},
	{WebhookUntrusted, Error, "The webhook's configuration has no certificate authority that can be read: labelled pods can't be created.", "the control plane writes it once it runs; look at its log"},
	{CertificateExpired, Error, "A certificate of the webhook has expired: labelled pods can't be created.", "kubectl -n outrider-system logs -l app=outrider-injector"},
	{CertificateExpires, Warning, "A certificate of the webhook expires within 30 days; it ought to have been renewed 45 days before.", "kubectl -n outrider-system logs -l app=outrider-injector"},
	{LabelNotUnderstood, Warning, "A label outrider.dev/inject is neither enabled nor disabled.", "write enabled or disabled"},
	{PodWithoutSidecar, Warning, "A pod would get a sidecar today and has none.", "restart it: kubectl rollout restart"},
	{PodRefused, Warning, "A pod would be refused today.", "do what the message says before the pod is restarted"},
	{SidecarNotReady, Error, "A sidecar is not ready: its pod gets no traffic.", "kubectl logs POD -c outrider"},
	{SidecarOutdated, Warning, "A sidecar has another image than the control plane gives to new pods.", "restart the pod when it suits: kubectl rollout restart"},
	{SidecarSilent, Warning, "A sidecar did not say anything about itself.", "see whether you may port-forward to the pod, and whether it is there"},
	{SidecarsNotAsked, Warning, "There are more sidecars than were asked.", "name a namespace with -n, or ask more of them with --most"},
	{NoSVID, Error, "A sidecar has no identity, and so takes and makes no calls.", "kubectl logs POD -c outrider says what the issuer answers"},
	{SVIDExpired, Error, "The certificate of a sidecar has expired: it takes and makes no calls.", "kubectl logs POD -c outrider says why it is not renewed"},
	{SVIDExpires, Warning, "The certificate of a sidecar expires within 10 minutes and ought to have been renewed.", "kubectl logs POD -c outrider says why it is not renewed"},
	{RootExpires, Warning, "A root of trust expires within 60 days.", "see docs/identity.md for how roots are replaced"},
	{PlaintextTaken, Warning, "Somebody calls a pod in plaintext, and is let in.", "give the callers sidecars, then set mtls: Strict"},
	{PlaintextRefused, Warning, "Somebody calls a pod in plaintext, and is refused.", "give the callers sidecars, or tell them not to call"},
	{PassedThrough, Warning, "A pod calls addresses that are not in the mesh, in plaintext.", "see docs/capture.md, and set unknown-destinations: Refuse once there are none"},
	{PortWithoutProtocol, Warning, "A Service does not say what a port of a meshed workload carries, so each connection is looked at, and servers that speak first make clients wait.", "set appProtocol, or begin the port's name with http-, grpc- or tcp-"},
	{DocumentInvalid, Error, "A document can't be used as it is.", "correct it; what was in force before stays"},
	{DocumentQuestionable, Warning, "A document can be used and says something questionable.", "see whether it is meant"},
	{DocumentRejected, Error, "Sidecars refuse a document and keep what they had before.", "kubectl describe it; the conditions say why"},
	{DocumentPending, Warning, "Not all sidecars have a document in force.", "wait a moment; then see kubectl outrider status for who is behind"},
	{SelectsNothing, Warning, "A policy selects no pod with a sidecar.", "compare its selector with the labels of the pods"},
	{MeshConfigIgnored, Warning, "A MeshConfig is not called mesh, and so counts for nothing.", "rename it to mesh, or remove it"},
	{PoliciesRefused, Warning, "A sidecar has refused a set of policies since it was started.", "kubectl logs POD -c outrider says why"},
	{ExclusionExpired, Warning, "An exclusion of an inspection policy has expired: the rule is applied again.", "remove the exclusion, or give it another date"},
	{ExclusionExpires, Warning, "An exclusion of an inspection policy expires within 14 days.", "see whether its reason still holds"},
	{Uninspected, Warning, "Requests were not inspected, in whole or in part, although a policy asks for it.", "see docs/waf.md for the reasons"},
}

// explain returns what is known of a code.
func explain(code Code) Explanation {
	for _, e := range codes {
		if e.Code == code {
			return e
		}
	}
	return Explanation{Code: code, Severity: Warning}
}
