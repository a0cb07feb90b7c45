package decode

import (
	"bytes"
	"fmt"
)

// A step appends what it makes of src to dst. The two do not overlap.
type step func(dst, src []byte) []byte

// A Chain is a list of transformations, the first first. It is immutable.
type Chain struct {
	names []string
	steps []step
}

// New returns the chain of these names, which are in lower case; an error names
// the one that does not exist.
func New(names []string) (Chain, error) {
	c := Chain{names: names}
	for _, name := range names {
		s := lookup(name)
		if s == nil {
			return Chain{}, fmt.Errorf("transformation %q is not known", name)
		}
		c.steps = append(c.steps, s)
	}
	return c, nil
}

// Names lists the transformations.
func (c Chain) Names() []string { return c.names }

// A Buffer holds what a chain makes on its way. The zero value is ready; it may
// be used again and again, by one goroutine.
type Buffer struct{ a, b []byte }

// Apply returns what the chain makes of a value. The result is the value itself
// or part of the buffer, which the next call overwrites.
func (c Chain) Apply(value []byte, buf *Buffer) []byte {
	for _, s := range c.steps {
		buf.a = s(buf.a[:0], value)
		if bytes.Equal(buf.a, value) {
			continue
		}
		buf.a, buf.b = buf.b, buf.a
		value = buf.b
	}
	return value
}

func lookup(name string) step {
	switch name {
	case "base64decode":
		return base64Decode
	case "cmdline":
		return commandLine
	case "compresswhitespace":
		return compressWhitespace
	case "cssdecode":
		return cssDecode
	case "escapeseqdecode":
		return escapeDecode
	case "hexencode":
		return hexEncode
	case "htmlentitydecode":
		return htmlDecode
	case "jsdecode":
		return jsDecode
	case "length":
		return length
	case "lowercase":
		return lowercase
	case "normalisepath", "normalizepath":
		return normalisePath
	case "normalisepathwin", "normalizepathwin":
		return normalisePathWin
	case "removecommentschar":
		return removeCommentsChar
	case "removenulls":
		return removeNulls
	case "removewhitespace":
		return removeWhitespace
	case "replacecomments":
		return replaceComments
	case "sha1":
		return hash
	case "urldecodeuni":
		return urlDecode
	case "utf8tounicode":
		return utf8ToUnicode
	}
	return nil
}
