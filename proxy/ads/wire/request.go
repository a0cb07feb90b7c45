package wire

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A Request is a DeltaDiscoveryRequest: what a sidecar wants of one type, and what it
// makes of a response.
type Request struct {
	// Node says who asks; nil but in the first request of a stream.
	Node *push.Node
	// Type is the type URL of all that follows.
	Type string
	// Subscribe and Unsubscribe are names of resources.
	Subscribe, Unsubscribe []string
	// Held are the versions that are there already, by name, of what Subscribe asks
	// for.
	Held map[string]string
	// Nonce names the response that is answered; empty for none.
	Nonce string
	// Refusal says why that response was not accepted; empty: it was.
	Refusal string
}

// The numbers of the fields of a DeltaDiscoveryRequest, of the entries of its map and
// of google.rpc.Status.
const (
	requestNode        = 1
	requestType        = 2
	requestSubscribe   = 3
	requestUnsubscribe = 4
	requestHeld        = 5
	requestNonce       = 6
	requestError       = 7
	mapKey             = 1
	mapValue           = 2
	statusCode         = 1
	statusMessage      = 2
)

// invalidArgument is the code of google.rpc with which xDS refuses a response.
const invalidArgument = 3

// Append appends the request to b.
func (r *Request) Append(b []byte) []byte {
	if r.Node != nil {
		b = appendMessage(b, requestNode, r.Node.Append(nil))
	}
	b = appendText(b, requestType, r.Type)
	for _, name := range r.Subscribe {
		b = appendText(b, requestSubscribe, name)
	}
	for _, name := range r.Unsubscribe {
		b = appendText(b, requestUnsubscribe, name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Held)) {
		b = appendMessage(b, requestHeld, appendText(appendText(nil, mapKey, name), mapValue, r.Held[name]))
	}
	if r.Nonce != "" {
		b = appendText(b, requestNonce, r.Nonce)
	}
	if r.Refusal != "" {
		status := protowire.AppendVarint(protowire.AppendTag(nil, statusCode, protowire.VarintType), invalidArgument)
		b = appendMessage(b, requestError, appendText(status, statusMessage, r.Refusal))
	}
	return b
}

func appendText(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

func appendMessage(b []byte, number protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), m)
}
