package inspect

import (
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
)

// A bodyReader reads bodies of one kind, for the engine and for the gate: what it hands
// over to the one is what it hands over to the other.
type bodyReader interface {
	plugintypes.BodyProcessor
	arguments(body []byte, to *gate.Arguments) bool
}

// protobufProcessor is the name in rules of the reader of protobuf.
const protobufProcessor = "OUTRIDER_PROTOBUF"

// bodyReaders are ours by the names that rules have for them, two of which replace
// Coraza's.
func bodyReaders() map[string]bodyReader {
	return map[string]bodyReader{
		"URLENCODED":             formBody{},
		"XML":                    xmlBody{},
		"OUTRIDER_XML":           xmlBody{places: true},
		"OUTRIDER_RAW":           rawBody{},
		"OUTRIDER_JSON_LINES":    linesBody{},
		"OUTRIDER_JSON_SEQ":      linesBody{sequence: true},
		"OUTRIDER_GRAPHQL":       placesBody(bodies.GraphQL),
		protobufProcessor:        placesBody(protobufBody),
		"OUTRIDER_GRPC_WEB":      placesBody(grpcWebBody),
		"OUTRIDER_GRPC_WEB_TEXT": placesBody(grpcWebTextBody),
	}
}

// registerPlugins adds ours to Coraza's tables, which are global and not
// guarded: once, before the first engine of the process exists.
var registerPlugins = sync.OnceFunc(func() {
	plugins.RegisterOperator("outriderDistinctArguments", func(plugintypes.OperatorOptions) (plugintypes.Operator, error) {
		return distinctArguments{}, nil
	})
	plugins.RegisterOperator("outriderTimeIsUp", newTimeIsUp)
	for name, r := range bodyReaders() {
		plugins.RegisterBodyProcessor(strings.ToLower(name), func() plugintypes.BodyProcessor { return r })
	}
})
