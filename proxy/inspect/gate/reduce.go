package gate

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
)

// classes are the masks that transformations ask for.
type classes struct {
	*pattern.Alphabet
	plus, amp, backslash, null, space, spaces, marks, separators  pattern.Mask
	slash, star, dash, hash, dot, colon, digits, letters, percent pattern.Mask
	// quotes are erased, see there.
	quotes pattern.Mask
}

func newClasses(a *pattern.Alphabet) classes {
	erased := quotes()
	return classes{
		quotes:   a.Set(&erased),
		Alphabet: a, percent: a.Bytes("%"), plus: a.Bytes("+"), amp: a.Bytes("&"),
		backslash: a.Bytes(`\`), null: a.Bytes("\x00"), space: a.Bytes(" "), spaces: a.Bytes("\t\n\v\f\r"),
		marks: a.Bytes(`"'\^`), separators: a.Bytes(",;\t\r\n"), slash: a.Bytes("/"), star: a.Bytes("*"),
		dash: a.Bytes("-"), hash: a.Bytes("#"), dot: a.Bytes("."), colon: a.Bytes(":"),
		digits: a.Bytes("0123456789"), letters: a.Bytes("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
	}
}

// reduce leaves out of a chain what makes nothing of values that have these classes,
// the case of letters aside, and returns the classes that the result may have.
func (c *classes) reduce(chain decode.Chain, m pattern.Mask) (names []string, out pattern.Mask) {
	all := chain.Names()
	for n, name := range all {
		active, after := c.step(name, m)
		active = active || m&c.letters != 0 && lowers(name) && c.caseMatters(all[n+1:], m)
		if active {
			names = append(names, name)
			m = after
		}
	}
	if m&c.letters != 0 {
		m |= c.letters // of either case
	}
	return names, m
}

// lowers tells the transformations that change the case of letters.
func lowers(name string) bool { return name == "lowercase" || name == "cmdline" }

// caseMatters tells whether one of these transformations may see letters, and then
// take the cases for different: &LT; and &lt;, or base64.
func (c *classes) caseMatters(names []string, m pattern.Mask) bool {
	for _, name := range names {
		switch name {
		case "base64decode", "sha1", "hexencode":
			return true
		case "htmlentitydecode", "jsdecode", "cssdecode", "escapeseqdecode":
			if m&(c.amp|c.backslash|c.percent) != 0 {
				return true
			}
		}
	}
	return false
}

// step tells whether a transformation may change a value, and what it makes of it.
func (c *classes) step(name string, m pattern.Mask) (active bool, out pattern.Mask) {
	switch name {
	case "lowercase":
		return m&c.Foreign != 0, c.unless(m, m)
	case "urldecodeuni":
		if m&c.percent == 0 {
			return m&c.plus != 0, m&^c.plus | c.space
		}
		return true, c.All
	case "htmlentitydecode":
		return m&c.amp != 0, c.All
	case "jsdecode", "cssdecode", "escapeseqdecode":
		return m&c.backslash != 0, c.All
	case "removenulls":
		return m&c.null != 0, m &^ c.null
	case "utf8tounicode":
		return m&c.Foreign != 0, m&^c.Foreign | c.percent | c.letters | c.digits
	}
	return c.spacing(name, m)
}

// spacing is about what only moves and removes.
func (c *classes) spacing(name string, m pattern.Mask) (active bool, out pattern.Mask) {
	white := c.space | c.spaces | c.Foreign
	switch name {
	case "removewhitespace":
		return m&white != 0, c.unless(m, m&^white)
	case "compresswhitespace":
		return m&white != 0, c.unless(m, m|c.space)
	case "cmdline":
		return m&(c.marks|c.separators|c.space) != 0, m | c.space
	case "replacecomments":
		return m&c.slash != 0 && m&c.star != 0, m | c.space
	case "removecommentschar":
		return m&(c.slash|c.dash|c.hash) != 0, m
	case "normalisepath", "normalizepath":
		return m&c.slash != 0 || m&^c.dot == 0 && m != 0, m | c.slash | c.dot
	case "normalisepathwin", "normalizepathwin":
		return m&(c.slash|c.backslash|c.colon|c.dot|c.space) != 0, m | c.slash | c.dot
	}
	return true, c.All
}

// unless is the result of what treats bytes beyond ASCII in its own way.
func (c *classes) unless(m, out pattern.Mask) pattern.Mask {
	if m&c.Foreign != 0 {
		return c.All
	}
	return out
}
