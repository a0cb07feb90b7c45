package gate

import "slices"

// setLeast goes from the longest chains to their beginnings.
func (p *plan) setLeast() {
	for i := range p.variants {
		p.variants[i].least = -1
	}
	for i := range slices.Backward(p.variants) {
		v := &p.variants[i]
		own := v.before(v.shortest, lengthBefore)
		if !v.hasPlain {
			own = max(own, v.before(v.text, textBefore))
		}
		if v.least < 0 {
			v.least = own
		} else {
			v.least = min(own, v.before(v.least, lengthBefore))
		}
		if v.from >= 0 {
			from := &p.variants[v.from]
			if from.least < 0 || v.least < from.least {
				from.least = v.least
			}
		}
	}
}

// before is how long a value is at least of which a variant's chain makes so much.
func (v *variant) before(after int, step func(string, int) int) int {
	for _, name := range slices.Backward(v.chain.Names()) {
		after = step(name, after)
	}
	return after
}

// lengthBefore is how long a value is at least of which a transformation makes so
// many bytes.
func lengthBefore(name string, after int) int {
	switch name {
	case "urldecodeuni", "jsdecode", "escapeseqdecode", "removenulls", "compresswhitespace",
		"cmdline", "replacecomments", "removecommentschar":
		return after
	case "base64decode":
		return (after*4 + 2) / 3
	case "removewhitespace":
		return (after + 2) / 3 // a byte that is no UTF-8 becomes a replacement character
	case "normalisepath", "normalizepath", "normalisepathwin", "normalizepathwin":
		return max(after-1, 0) // a slash alone becomes two
	}
	return 0
}

// textBefore is the same for a text of ASCII in what becomes of it.
func textBefore(name string, after int) int {
	if name == "removewhitespace" {
		return after
	}
	return lengthBefore(name, after)
}
