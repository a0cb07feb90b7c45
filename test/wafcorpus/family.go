package main

import (
	"hash/fnv"
	"net/url"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// Near-duplicates are one family: whoever learns from one of them knows the others, so
// they must not stand on both sides of a cross-validation.
//
// A benign request is of the family of its host and path, with digits made equal. An
// attack's family is found by what it consists of: all runs of shingle bytes of its
// values, decoded, in lower case, digits made equal. Two attacks that share similar of
// their runs or more (Jaccard) are of one family, and so are those that a third joins.
const (
	shingle = 5
	similar = 0.5
)

// families numbers the family of each sample.
func families(samples []corpus.Sample) []int {
	u := union{parent: make([]int, len(samples))}
	for i := range u.parent {
		u.parent[i] = i
	}
	sites := map[string]int{}
	var attacks []int
	sets := map[int]map[uint64]bool{}
	for i := range samples {
		s := &samples[i]
		if s.Label == corpus.Attack {
			sets[i] = shingles(normalised(s))
			for _, other := range attacks {
				if jaccard(sets[i], sets[other]) >= similar {
					u.join(i, other)
				}
			}
			attacks = append(attacks, i)
			continue
		}
		if first, ok := sites[site(s)]; ok {
			u.join(i, first)
		} else {
			sites[site(s)] = i
		}
	}
	for i := range u.parent {
		u.parent[i] = u.root(i)
	}
	return u.parent
}

func site(s *corpus.Sample) string {
	host, _ := header(s).Get("host")
	path, _, _ := strings.Cut(s.Target, "?")
	return host + zeroed(path)
}

func zeroed(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '0'
		}
		return r
	}, strings.ToLower(s))
}

// normalised is what an attack consists of: the values of its parameters and of those in
// the URL it claims to come from, its body, and the path if there is nothing else. What
// all attacks on one application have in common, its paths and names, is left out.
func normalised(s *corpus.Sample) string {
	path, query, _ := strings.Cut(s.Target, "?")
	text := values(query) + values(string(s.Body))
	for _, f := range s.Header {
		switch strings.ToLower(f.Name) {
		case "referer":
			_, query, _ := strings.Cut(f.Value, "?")
			text += values(query)
		case "cookie", "user-agent", "x-forwarded-for", "authorization":
			if strings.ContainsAny(f.Value, "<'`$") {
				text += f.Value
			}
		}
	}
	if len(text) < 2*shingle {
		text += path
	}
	return zeroed(text)
}

// values are those of a form, decoded twice; anything else is one value.
func values(form string) string {
	var b strings.Builder
	for pair := range strings.SplitSeq(form, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = name
		}
		for range 2 {
			if decoded, err := url.QueryUnescape(value); err == nil {
				value = decoded
			}
		}
		b.WriteString(value)
	}
	return b.String()
}

func shingles(s string) map[uint64]bool {
	set := map[uint64]bool{}
	for i := 0; i+shingle <= len(s); i++ {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s[i : i+shingle]))
		set[h.Sum64()] = true
	}
	return set
}

func jaccard(a, b map[uint64]bool) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	both := 0
	for h := range a {
		if b[h] {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// union joins samples to families.
type union struct{ parent []int }

func (u union) root(i int) int {
	for u.parent[i] != i {
		u.parent[i] = u.parent[u.parent[i]]
		i = u.parent[i]
	}
	return i
}

func (u union) join(a, b int) { u.parent[u.root(a)] = u.root(b) }
