package inspect

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// formBody replaces Coraza's reader of forms, and of bodies of no known type.
// That one collects the values in a map and sets them name by name into a
// collection that ignores case, so of "q" and "Q" one, by chance, overwrites
// the other and is not inspected. This one adds them in order.
type formBody struct{}

// ProcessRequest implements [plugintypes.BodyProcessor].
func (formBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	if !addForm(v.ArgsPost(), body, o.ArgumentLimit) {
		if err := setSingle(v.ArgumentsLimitReached(), "1"); err != nil {
			return err
		}
	}
	return setBody(v, body)
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (formBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// rawBody reads a body that has no arguments of its own. Text is one argument,
// whatever it claims to be, for a content type is only the caller's word. Of a
// body that is not text the runs of text are arguments, such as the strings of
// a protobuf message.
type rawBody struct{}

// ProcessRequest implements [plugintypes.BodyProcessor].
func (rawBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	args := v.ArgsPost()
	if bodies.IsText(body) {
		args.Add("body", body)
		return setBody(v, body)
	}
	n := 0
	for run := range bodies.Runs(body) {
		if n == o.ArgumentLimit {
			return setSingle(v.ArgumentsLimitReached(), "1")
		}
		args.Add("body."+strconv.Itoa(n), run)
		n++
	}
	return setSingle(v.RequestBodyLength(), strconv.Itoa(len(body)))
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (rawBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

func readAll(r io.Reader) (string, error) {
	var b strings.Builder
	if _, err := io.Copy(&b, r); err != nil {
		return "", fmt.Errorf("read the buffered body: %w", err)
	}
	return b.String(), nil
}

// setBody sets the variables of the body as a whole.
func setBody(v plugintypes.TransactionVariables, body string) error {
	if err := setSingle(v.RequestBody(), body); err != nil {
		return err
	}
	return setSingle(v.RequestBodyLength(), strconv.Itoa(len(body)))
}

// An adder takes arguments: a collection of the engine, or the gate.
type adder interface{ Add(name, value string) }

// addForm adds the pairs of a form in order and tells whether all of them fit.
func addForm(args adder, body string, limit int) bool {
	n := 0
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		if n == limit {
			return false
		}
		name, value, _ := strings.Cut(pair, "=")
		args.Add(bodies.Unescape(name), bodies.Unescape(value))
		n++
	}
	return true
}

// sinkOf adds values to a collection. Each has a name of its own, see distinct.go.
func sinkOf(args adder, limit int) *bodies.Sink {
	return &bodies.Sink{Left: limit, Add: func(name []byte, value string) bool {
		args.Add(string(name), value)
		return true
	}}
}
