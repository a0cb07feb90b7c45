package inspect

import (
	"errors"
	"io"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// xmlBody reads XML in place of Coraza's reader, which passes over the declaration of
// the document's type: an entity declared there is the application's to expand, and
// what it stands for would be seen by no rule. Nothing is ever fetched. That one also
// takes any number of texts, each of which every rule looks at.
type xmlBody struct {
	// places tells to make texts and attributes arguments by their place, which the
	// mesh profile does. Then the rule set looks at those only (rules/places.conf).
	places bool
}

// ProcessRequest implements [plugintypes.BodyProcessor].
func (p xmlBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	stock := map[string][]string{}
	w := p.walk(o.ArgumentLimit, func(key, value string) bool {
		stock[key] = append(stock[key], value)
		return true
	})
	if p.places {
		w.Sink = sinkOf(v.ArgsPost(), o.ArgumentLimit)
	}
	err = w.Document("xml", body)
	// What was read is looked at even if the rest cannot be.
	v.RequestXML().Set(bodies.AttributeKey, stock[bodies.AttributeKey])
	v.RequestXML().Set(bodies.TextKey, stock[bodies.TextKey])
	if errors.Is(err, bodies.ErrDeclares) {
		markBroken(v)
	}
	if w.Full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	return err
}

func (p xmlBody) walk(limit int, raw func(key, value string) bool) bodies.XML {
	return bodies.XML{Sink: &bodies.Sink{}, Raw: raw, RawLeft: limit}
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (xmlBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}
