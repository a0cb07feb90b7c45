package authz

import "strings"

// kind is what a key holds. A dimension may have several kinds of keys.
type kind uint8

const (
	keyID         kind = iota // text: a SPIFFE ID
	keyIDPrefix               // hash: the start of one, up to a slash
	keyAccount                // text: the path of one
	keyNamespace              // text
	keyDomain                 // text: a trust domain
	keyPort                   // hash: the number itself
	keyPath                   // hash: a decoded path
	keyPathPrefix             // hash: the start of one, up to a slash
	keyMethod                 // text
)

// A key is something that a request must have if a rule is to match it. Where
// two texts have one hash, a rule is tried in vain and does not match.
type key struct {
	kind kind
	text string
	hash uint64
}

// manyKeys is from how many on the keys of a rule are not worth their memory in
// any dimension but that of callers, of whom there may be thousands.
const manyKeys = 32

// keys are such that a request which the rule matches has at least one of them;
// none if the rule has to be tried whatever the request has.
func (r *rule) keys(d dimension) (keys []key) {
	groups := r.to
	if d == byIdentity {
		groups = r.from
	}
	for _, group := range groups {
		before := len(keys)
		for i := range group {
			if c := &group[i]; len(keys) == before && !c.not && dimensionOf(c.field) == d {
				keys = c.keys(keys)
			}
		}
		if len(keys) == before || d != byIdentity && len(keys) > manyKeys {
			return nil
		}
	}
	return keys
}

func dimensionOf(f field) dimension {
	switch f {
	case principals, serviceAccounts, namespaces, trustDomains:
		return byIdentity
	case ports:
		return byPort
	case paths:
		return byPath
	case methods:
		return byMethod
	default: // not indexed
	}
	return dimensions
}

// keys appends a key for each value; none if one of the values has none.
func (c *check) keys(to []key) []key {
	before := len(to)
	for _, p := range c.ports {
		to = append(to, key{kind: keyPort, hash: uint64(p)})
	}
	for i := range c.values.list {
		k, ok := c.values.list[i].key(c.field)
		if !ok {
			return to[:before]
		}
		to = append(to, k)
	}
	return to
}

func (p *pattern) key(f field) (k key, ok bool) {
	switch {
	case f == paths:
		return p.pathKey()
	case f == principals && p.form == prefix:
		return prefixKey(keyIDPrefix, strings.TrimPrefix(p.text, scheme))
	}
	return key{kind: kindOf(f), text: p.text}, p.form == exact
}

func kindOf(f field) kind {
	switch f {
	case principals:
		return keyID
	case serviceAccounts:
		return keyAccount
	case namespaces:
		return keyNamespace
	case trustDomains:
		return keyDomain
	default: // the others have keys of their own
	}
	return keyMethod
}

// pathKey is the whole path or its literal start. A start that is a slash alone
// tells nothing.
func (p *pattern) pathKey() (k key, ok bool) {
	switch {
	case p.path != nil:
		return prefixKey(keyPathPrefix, p.path.literal())
	case p.form == exact:
		return key{kind: keyPath, hash: hashText(p.text)}, true
	case p.form == prefix:
		return prefixKey(keyPathPrefix, p.text)
	}
	return key{}, false
}

// prefixKey is the key of what starts with text: the part of it up to the last
// slash that requests look for.
func prefixKey(k kind, text string) (key, bool) {
	end, slashes := 0, 0
	for i := range len(text) {
		if text[i] == '/' && slashes < mostSlashes {
			end, slashes = i+1, slashes+1
		}
	}
	if end <= 1 {
		return key{}, false
	}
	return key{kind: k, hash: hashText(text[:end])}, true
}

// mostSlashes is how many starts of a path are looked up.
const mostSlashes = 8

// hashes are those of a text as a whole and of its starts.
type hashes struct {
	whole   uint64
	starts  [mostSlashes]uint64
	slashes int
}

// The 64-bit FNV-1a hash. Policies choose the keys, so nobody gains by making
// requests collide with them.
const (
	hashBasis = 14695981039346656037
	hashPrime = 1099511628211
)

func hashText(s string) uint64 {
	var h uint64 = hashBasis
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// read hashes a text, or what a path with escapes stands for.
func (h *hashes) read(s string, escaped bool) {
	var sum uint64 = hashBasis
	for s != "" {
		c, rest := s[0], s[1:]
		if escaped {
			c, rest = nextDecoded(s)
		}
		s = rest
		sum = (sum ^ uint64(c)) * hashPrime
		if c == '/' && h.slashes < mostSlashes {
			h.starts[h.slashes] = sum
			h.slashes++
		}
	}
	h.whole = sum
}
