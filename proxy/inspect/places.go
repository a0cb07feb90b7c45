package inspect

import (
	"io"
	"strconv"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
)

// placesBody reads bodies of which each value has a place, and nothing else counts. What
// it makes an error of, the rules refuse: the content type is the caller's word, and an
// application that reads the body as something else would get what was not looked at.
type placesBody func(body string, to *bodies.Sink) error

// protobufBody reads one message.
func protobufBody(body string, to *bodies.Sink) error {
	bodies.Protobuf(body, to)
	return nil
}

// ProcessRequest implements [plugintypes.BodyProcessor].
func (read placesBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	to := sinkOf(v.ArgsPost(), o.ArgumentLimit)
	broken := read(body, to)
	if to.Full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	if err := setSingle(v.RequestBodyLength(), strconv.Itoa(len(body))); err != nil {
		return err
	}
	return broken
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (placesBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// arguments is the same for the gate.
func (read placesBody) arguments(body []byte, to *gate.Arguments) bool {
	return read(string(body), gateSink(to)) == nil || to.Broken()
}
