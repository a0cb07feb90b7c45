package decode

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

const (
	// shortestCode is the shortest run that is tried: what fits in less is no
	// attack, and short words are Base64 of something.
	shortestCode = 12
	// mostRuns is how many runs of a value are tried.
	mostRuns = 16
)

// base64 adds the texts that runs of a form are the Base64 of. A run is tried whether
// it is the whole value or a part, such as a member of a document in JSON.
func (f *former) base64(s string, path Path) {
	for runs, i := 0, 0; i < len(s) && runs < mostRuns; {
		start := i
		for i < len(s) && codeValues[s[i]] >= 0 {
			i++
		}
		if i-start >= shortestCode {
			runs++
			if text, ok := decodeText(s[start:i]); ok {
				f.add(text, path)
			}
		}
		if i == start {
			i++
		}
	}
}

// codeValues has both alphabets of RFC 4648; -1 for what is in none.
var codeValues = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		v[alphabet[i]] = int8(i)
	}
	v['-'], v['_'] = 62, 63
	return v
}()

// decodeText decodes a run, if it is the code of a text with a character that is
// neither letter nor digit. It allocates nothing for what is none: nearly all ids,
// hashes and words end at the first bytes.
func decodeText(run string) (string, bool) {
	if !isCodeOfText(run) {
		return "", false
	}
	out := make([]byte, 0, len(run)*3/4)
	eachByte(run, func(b byte) bool {
		out = append(out, b)
		return true
	})
	return string(out), true
}

func isCodeOfText(run string) bool {
	n, high, telling := 0, 0, false
	ok := eachByte(run, func(b byte) bool {
		kind := lexicon.Kind(b)
		n++
		switch {
		case kind.Any(lexicon.Control | lexicon.NUL):
			return false
		case kind.Any(lexicon.High):
			high++
			return high <= n/8
		case !kind.Any(lexicon.Letter | lexicon.Digit):
			telling = true
		}
		return true
	})
	return ok && telling
}

// eachByte yields what a run is the code of until it is told to stop; whether it came
// to the end. Bits that are left over are dropped, as lenient decoders do.
func eachByte(run string, yield func(byte) bool) bool {
	var bits uint32
	have := 0
	for i := range len(run) {
		bits = bits<<6 | uint32(codeValues[run[i]])&63 //nolint:gosec // a run consists of the alphabet
		if have += 6; have >= 8 {
			have -= 8
			if !yield(byte(bits >> have & 0xff)) {
				return false
			}
		}
	}
	return true
}
