package bodies

import (
	"errors"
	"strconv"
	"strings"
)

// errLine is about a document that is none.
var errLine = errors.New("a line is no document in JSON")

// separator begins each document of a sequence (RFC 7464 §2.2).
const separator = '\x1e'

// Lines reads a document in JSON from each line that is not empty. Of the third one
// values are named "json.2.items.3.name".
//
// Last tells that the error is about the last line, which in the prefix of a body is
// only not whole.
func Lines(text string, to *Sink) (last bool, err error) {
	return documents(text, '\n', to)
}

// Sequence reads documents that begin with a record separator (RFC 7464), as [Lines]
// does those that end with their line.
func Sequence(text string, to *Sink) (last bool, err error) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(text, " \t\r\n"), string(separator))
	if !ok {
		if rest == "" {
			return true, nil
		}
		return false, errLine
	}
	return documents(rest, separator, to)
}

func cut(text string, at byte) (before, after string, found bool) {
	if i := strings.IndexByte(text, at); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

func documents(text string, end byte, to *Sink) (last bool, err error) {
	w := JSON{Sink: to}
	for n, more := 0, true; more && !to.Ended(); {
		var line string
		line, text, more = cut(text, end)
		if strings.Trim(line, " \t\r\n") == "" {
			continue
		}
		w.name = strconv.AppendInt(append(w.name[:0], "json."...), int64(n), 10)
		if !w.document(line) && !to.Ended() && err == nil {
			last, err = !more, errLine
		}
		n++
	}
	return last, err
}
