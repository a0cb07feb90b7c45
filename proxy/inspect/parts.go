package inspect

import (
	"mime"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// boundaryOf returns the boundary of a multipart form, by its content type; empty for
// anything else. What is wrong with a type Coraza's reader finds, and refuses.
func boundaryOf(contentType string) string {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// readParts adds what the engine would pass over in a multipart form.
func (in input) readParts(v plugintypes.TransactionVariables) error {
	w := bodies.Parts{Sink: sinkOf(v.ArgsPost(), maxArguments), Files: in.files}
	w.Read(in.body, in.boundary)
	if w.Full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	return nil
}
