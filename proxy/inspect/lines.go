package inspect

import (
	"io"
	"strconv"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// linesBody reads a body of several documents in JSON, one per line or, as a sequence,
// one behind each separator. Their values are arguments by their place.
type linesBody struct{ sequence bool }

// ProcessRequest implements [plugintypes.BodyProcessor].
func (p linesBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	to := sinkOf(v.ArgsPost(), o.ArgumentLimit)
	last, broken := p.read(body, to)
	if to.Full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	if broken != nil && !last {
		markBroken(v)
	}
	if err := setSingle(v.RequestBodyLength(), strconv.Itoa(len(body))); err != nil {
		return err
	}
	return broken
}

func (p linesBody) read(body string, to *bodies.Sink) (last bool, err error) {
	if p.sequence {
		return bodies.Sequence(body, to)
	}
	return bodies.Lines(body, to)
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (linesBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// markBroken says that a body is broken even if it is only a prefix: rule 7100011
// refuses it.
func markBroken(v plugintypes.TransactionVariables) {
	v.TX().Set("outrider_broken", []string{"1"})
}
