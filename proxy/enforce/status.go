package enforce

import (
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Status is the one place where a refusal becomes an HTTP status and an error
// type of RFC 9209 §2.3. ok is false where nobody is left to be answered, or the
// answer has begun: then the connection is closed.
func Status(r flow.Reason) (status int, proxyError string, ok bool) { //nolint:cyclop // one flat table
	switch r {
	case flow.AccessDenied, flow.WAFBlocked, flow.WAFUninspected, flow.PlaintextRefused, flow.PolicyChanged:
		return http.StatusForbidden, "http_request_denied", true
	case flow.RateLimited:
		return http.StatusTooManyRequests, "http_request_denied", true
	case flow.BadRequest:
		return http.StatusBadRequest, "http_request_error", true
	case flow.MethodRefused:
		return http.StatusMethodNotAllowed, "http_request_error", true
	case flow.HeadTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge, "http_request_error", true
	case flow.BodyTooLarge:
		return http.StatusRequestEntityTooLarge, "http_request_error", true
	case flow.RequestTimeout:
		return http.StatusRequestTimeout, "http_request_error", true
	case flow.ConnectFailed:
		return http.StatusBadGateway, "connection_refused", true
	case flow.UpstreamTLSFailed:
		return http.StatusBadGateway, "tls_certificate_error", true
	case flow.UpstreamClosed:
		return http.StatusBadGateway, "connection_terminated", true
	case flow.UpstreamProtocol:
		return http.StatusBadGateway, "http_protocol_error", true
	case flow.ConnectTimeout:
		return http.StatusGatewayTimeout, "connection_timeout", true
	case flow.UpstreamTimeout:
		return http.StatusGatewayTimeout, "http_response_timeout", true
	case flow.NoIdentity, flow.NoDestination, flow.Unresolved:
		return http.StatusServiceUnavailable, "destination_unavailable", true
	case flow.Overloaded:
		return http.StatusServiceUnavailable, "connection_limit_reached", true
	case flow.Draining, flow.WAFUnavailable:
		return http.StatusServiceUnavailable, "proxy_internal_response", true
	case flow.Internal:
		return http.StatusInternalServerError, "proxy_internal_error", true
	case flow.None, flow.ClientClosed, flow.TLSFailed, flow.CertificateRevoked, flow.CertificateExpired, flow.NotHTTP,
		flow.NotRedirected:
		return 0, "", false
	}
	return http.StatusInternalServerError, "proxy_internal_error", true
}

// An Answer is a refusal as the caller sees it: it says that Outrider refused,
// why in one word, and under which id the reason can be found. It never says
// what a policy contains.
type Answer struct {
	Status int
	// Fields are complete field lines.
	Fields []byte
	Body   []byte
}

// AnswerTo renders the answer to a refusal. ok is false where none can be given.
func AnswerTo(r flow.Refusal, decisionID string) (a Answer, ok bool) {
	status, proxyError, ok := Status(r.Reason)
	if !ok {
		return Answer{}, false
	}
	name := r.Reason.String()
	var more string
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		more = "retry-after: " + strconv.FormatInt(rounded(r.RetryAfter, time.Second), 10) + "\r\n" // RFC 9110 §10.2.3
	case http.StatusMethodNotAllowed:
		// RFC 9110 §15.5.6 wants the list; only CONNECT is missing from it.
		more = "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE\r\n"
	}
	fields := "content-type: text/plain; charset=utf-8\r\n" +
		"cache-control: no-store\r\n" +
		proxyFields(proxyError, name, decisionID) + more
	body := "outrider: " + sentence(r.Reason) + " (" + name + ", decision " + decisionID + ")\n"
	return Answer{Status: status, Fields: []byte(fields), Body: []byte(body)}, true
}

// rounded is how many units to wait, rounded up, so that whoever waits is not
// refused again; one where nothing is known.
func rounded(d, unit time.Duration) int64 { return max(1, int64((d+unit-1)/unit)) }

// proxyFields say who refused, why in one word, and where to find the rest.
func proxyFields(proxyError, reason, decisionID string) string {
	return "proxy-status: outrider; error=" + proxyError + "; details=\"" + reason + "\"\r\n" +
		"x-outrider-decision: " + decisionID + "\r\n"
}

// sentence is what a caller may know.
func sentence(r flow.Reason) string {
	switch r {
	case flow.AccessDenied, flow.PolicyChanged:
		return "this caller may not make this request"
	case flow.WAFBlocked:
		return "the request was taken for an attack"
	case flow.WAFUninspected:
		return "the request cannot be inspected"
	case flow.WAFUnavailable:
		return "the request could not be inspected at the moment"
	case flow.PlaintextRefused:
		return "this port takes mutual TLS only; call through a sidecar or with a SPIFFE identity"
	case flow.RateLimited:
		return "too many requests"
	case flow.BadRequest:
		return "the request is not valid HTTP"
	case flow.MethodRefused:
		return "CONNECT is not allowed here"
	case flow.HeadTooLarge:
		return "the request head is too large"
	case flow.BodyTooLarge:
		return "the request body is too large"
	case flow.RequestTimeout:
		return "the request did not arrive in time"
	case flow.ConnectFailed, flow.ConnectTimeout:
		return "no connection to the next hop"
	case flow.UpstreamTLSFailed:
		return "the next hop did not prove the expected identity"
	case flow.UpstreamClosed, flow.UpstreamProtocol:
		return "the next hop did not give a valid answer"
	case flow.UpstreamTimeout:
		return "the next hop did not answer in time"
	case flow.NoIdentity:
		return "this sidecar has no valid identity at the moment"
	case flow.NoDestination:
		return "there is no such destination"
	case flow.Unresolved:
		return "it is not known at the moment who answers there"
	case flow.Overloaded:
		return "a limit of this sidecar is reached"
	case flow.Draining:
		return "this sidecar is shutting down"
	default: // nobody is answered, or there is nothing to explain
	}
	return "internal error"
}
