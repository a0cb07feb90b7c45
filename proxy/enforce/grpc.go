package enforce

import (
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// The status codes of gRPC that refusals have (grpc.io/docs/guides/status-codes).
const (
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// GRPCStatus is [Status] in the words of gRPC. Clients retry what is unavailable and
// give up on the rest.
func GRPCStatus(r flow.Reason) (code int, proxyError string, ok bool) {
	status, proxyError, ok := Status(r)
	switch status {
	case http.StatusForbidden:
		code = grpcPermissionDenied
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		code = grpcResourceExhausted
	case http.StatusMethodNotAllowed:
		code = grpcUnimplemented
	case http.StatusRequestTimeout:
		code = grpcDeadlineExceeded
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = grpcUnavailable
		if r == flow.UpstreamTimeout { // it may have been done
			code = grpcDeadlineExceeded
		}
	default:
		code = grpcInternal
	}
	return code, proxyError, ok
}

// GRPCAnswerTo is [AnswerTo] for a gRPC call: a response of nothing but a head, with
// the status in it ("Trailers-Only" in gRPC over HTTP/2).
func GRPCAnswerTo(r flow.Refusal, decisionID string) (a Answer, ok bool) {
	code, proxyError, ok := GRPCStatus(r.Reason)
	if !ok {
		return Answer{}, false
	}
	name := r.Reason.String()
	fields := "content-type: application/grpc\r\n" +
		"grpc-status: " + strconv.Itoa(code) + "\r\n" +
		// Printable ASCII without a percent sign needs no encoding.
		"grpc-message: outrider: " + sentence(r.Reason) + " (" + name + ", decision " + decisionID + ")\r\n" +
		proxyFields(proxyError, name, decisionID)
	if r.RetryAfter > 0 {
		// What gRPC has in place of Retry-After (gRFC A6): clients with a retry
		// policy wait so long, whatever their own back-off says.
		fields += "grpc-retry-pushback-ms: " + strconv.FormatInt(rounded(r.RetryAfter, time.Millisecond), 10) + "\r\n"
	}
	return Answer{Status: http.StatusOK, Fields: []byte(fields)}, true
}
