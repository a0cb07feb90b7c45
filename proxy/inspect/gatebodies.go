package inspect

import (
	"errors"
	"math"
	"strconv"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
)

// gateBodies are the readers of bodies by the names that rules have for them, as they
// are for the gate: what each of them hands over is what the reader of the same name
// gives the engine. JSON the gate reads itself.
func gateBodies(mesh bool) map[string]gate.Body {
	return map[string]gate.Body{
		"URLENCODED":             formArguments,
		"MULTIPART":              formParts{files: mesh}.arguments,
		"XML":                    xmlBody{}.arguments,
		"OUTRIDER_XML":           xmlBody{places: true}.arguments,
		"OUTRIDER_RAW":           rawArguments,
		"OUTRIDER_JSON_LINES":    linesBody{}.arguments,
		"OUTRIDER_JSON_SEQ":      linesBody{sequence: true}.arguments,
		"OUTRIDER_GRAPHQL":       graphqlArguments,
		protobufProcessor:        protobufArguments,
		"OUTRIDER_GRPC_WEB":      grpcWebBody{}.arguments,
		"OUTRIDER_GRPC_WEB_TEXT": grpcWebBody{text: true}.arguments,
	}
}

// An adder takes arguments: a collection of the engine, or the gate.
type adder interface{ Add(name, value string) }

// gateAdder stops the reading of a body when one of its arguments is not proved.
type gateAdder struct{ to *gate.Arguments }

func (a gateAdder) Add(name, value string) { a.to.Add(name, value) }

// formArguments is formBody for the gate.
func formArguments(body []byte, to *gate.Arguments) bool {
	to.Whole()
	return addForm(gateAdder{to}, string(body), math.MaxInt)
}

// rawArguments is rawBody for the gate.
func rawArguments(body []byte, to *gate.Arguments) bool {
	text := string(body)
	if bodies.IsText(text) {
		to.Whole()
		return to.Add("body", text)
	}
	n := 0
	for run := range bodies.Runs(text) {
		if !to.Add("body."+strconv.Itoa(n), run) {
			return false
		}
		n++
	}
	return true
}

// protobufArguments is protobufBody for the gate.
func protobufArguments(body []byte, to *gate.Arguments) bool {
	return messages(to, func(w *messageWalk) error {
		w.body(string(body))
		return nil
	})
}

// messages walks messages for the gate.
func messages(to *gate.Arguments, walk func(*messageWalk) error) bool {
	w := messageWalk{left: math.MaxInt}
	w.add = func(name, value string) { w.full = w.full || !to.Add(name, value) }
	return (walk(&w) == nil || to.Broken()) && !w.full
}

// arguments is grpcWebBody for the gate.
func (p grpcWebBody) arguments(body []byte, to *gate.Arguments) bool {
	return messages(to, func(w *messageWalk) error { return p.read(string(body), w) })
}

// graphqlArguments is graphqlBody for the gate.
func graphqlArguments(body []byte, to *gate.Arguments) bool {
	w := graphqlWalk{rest: string(body), left: math.MaxInt}
	w.add = func(name, value string) { w.full = w.full || !to.Add(name, value) }
	return (w.document() == nil || to.Broken()) && !w.full
}

// arguments is linesBody for the gate.
func (p linesBody) arguments(body []byte, to *gate.Arguments) bool {
	last, err := p.read(string(body), gateSink(to))
	return err == nil || last && to.Broken()
}

// arguments is xmlBody for the gate.
func (p xmlBody) arguments(body []byte, to *gate.Arguments) bool {
	to.Unsized()
	w := p.walk(maxArguments, to.XML)
	if p.places {
		w.Sink = gateSink(to)
	}
	err := w.Document("xml", string(body))
	return !w.Full && (err == nil || !errors.Is(err, bodies.ErrDeclares) && to.Broken())
}

// gateSink proves values as they are read; how many there may be is known to the gate.
func gateSink(to *gate.Arguments) *bodies.Sink {
	return &bodies.Sink{Left: math.MaxInt, Add: to.AddAt}
}
