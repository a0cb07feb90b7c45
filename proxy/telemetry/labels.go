package telemetry

import "github.com/outrider-mesh/outrider/proxy/flow"

// The values of the outcome label. Each reason belongs to exactly one of them.
const (
	outcomeAllowed  = iota // went through
	outcomeDenied          // who or what called is not allowed to
	outcomeLimited         // a limit of rate or concurrency was reached
	outcomeBlocked         // inspection found an attack, or could not be done
	outcomeRejected        // the client's message or protocol was not acceptable
	outcomeFailed          // the next hop or the sidecar itself failed
	outcomeCanceled        // the client went away

	outcomeCount
)

var outcomeNames = [outcomeCount]string{
	"allowed", "denied", "limited", "blocked", "rejected", "failed", "canceled",
}

// outcomeOf is total: a reason it does not know is a failure of ours.
func outcomeOf(r flow.Reason) int {
	switch r {
	case flow.None:
		return outcomeAllowed
	case flow.AccessDenied, flow.PlaintextRefused, flow.TLSFailed, flow.CertificateRevoked,
		flow.CertificateExpired, flow.PolicyChanged:
		return outcomeDenied
	case flow.RateLimited, flow.Overloaded:
		return outcomeLimited
	case flow.WAFBlocked, flow.WAFUninspected:
		return outcomeBlocked
	case flow.NotHTTP, flow.BadRequest, flow.HeadTooLarge, flow.BodyTooLarge, flow.MethodRefused,
		flow.RequestTimeout, flow.NotRedirected:
		return outcomeRejected
	case flow.ClientClosed:
		return outcomeCanceled
	case flow.NoIdentity, flow.NoDestination, flow.Unresolved, flow.ConnectFailed, flow.ConnectTimeout,
		flow.UpstreamTLSFailed, flow.UpstreamClosed, flow.UpstreamProtocol, flow.UpstreamTimeout,
		flow.WAFUnavailable, flow.Draining, flow.Internal:
		return outcomeFailed
	}
	return outcomeFailed
}

// The code_class label; index 0 is for a request that got no status.
var classNames = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

// Directions index arrays from 0, so that those need no empty first row.
const directionCount = 2

var directions = [directionCount]flow.Direction{flow.Inbound, flow.Outbound}

func directionOf(d flow.Direction) int {
	if d == flow.Outbound {
		return 1
	}
	return 0
}
