package inspect

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
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
	if isText(body) {
		args.Add("body", body)
		return setBody(v, body)
	}
	n := 0
	for run := range textRuns(body) {
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
		args.Add(evidence.Unescape(name), evidence.Unescape(value))
		n++
	}
	return true
}

// minRun is the shortest run of text in a binary body that is inspected. Random
// bytes hold few longer ones, and what fits in less is no attack.
const minRun = 8

// isText tells whether a body is UTF-8 without control characters.
func isText(s string) bool {
	for i := range len(s) {
		if isControl(s[i]) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// isControl leaves white space out: vertical tab and form feed are white space to SQL
// and HTML, too, so who writes them for a space must not thereby escape.
func isControl(c byte) bool { return c < ' ' && (c < '\t' || c > '\r') || c == 0x7f }

// textRuns yields the longest runs of text, minRun bytes or more.
func textRuns(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(s); {
			size := 0
			if i < len(s) {
				r, n := utf8.DecodeRuneInString(s[i:])
				if (r != utf8.RuneError || n > 1) && !isControl(s[i]) {
					size = n
				}
			}
			if size > 0 {
				i += size
				continue
			}
			if i-start >= minRun && !yield(s[start:i]) {
				return
			}
			i++
			start = i
		}
	}
}
