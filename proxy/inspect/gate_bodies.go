package inspect

import (
	"errors"
	"math"
	"strconv"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
)

// gateBodies are the readers of bodies for the gate. JSON it reads itself; of forms in
// parts the engine has Coraza's reader, and what ours adds (parts.go).
func gateBodies(mesh bool) map[string]gate.Body {
	all := map[string]gate.Body{"MULTIPART": formParts{files: mesh}.arguments}
	for name, r := range bodyReaders() {
		all[name] = r.arguments
	}
	return all
}

// gateAdder is the gate as an adder. It remembers whether one was not proved.
type gateAdder struct{ to *gate.Arguments }

func (a gateAdder) Add(name, value string) { a.to.Add(name, value) }

// arguments is formBody for the gate.
func (formBody) arguments(body []byte, to *gate.Arguments) bool {
	to.Whole()
	return addForm(gateAdder{to}, string(body), math.MaxInt)
}

// arguments is rawBody for the gate.
func (rawBody) arguments(body []byte, to *gate.Arguments) bool {
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
