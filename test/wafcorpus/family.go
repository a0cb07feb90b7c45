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
// attack's family is found by what it consists of: of target, body and the fields that
// carry payloads, percent escapes undone twice, in lower case, digits made equal, all
// runs of shingle bytes. Two attacks that share similar of their runs or more (Jaccard)
// are of one family, and so are those that a third one joins.
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
	host, _ := header(s.Header).Get("host")
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

// normalised is what an attack consists of.
func normalised(s *corpus.Sample) string {
	var b strings.Builder
	b.WriteString(s.Target)
	for _, f := range s.Header {
		switch strings.ToLower(f.Name) {
		case "referer", "cookie", "user-agent", "x-forwarded-for", "content-type", "authorization":
			b.WriteString("\n" + f.Value)
		}
	}
	b.WriteString("\n")
	b.Write(s.Body)
	text := b.String()
	for range 2 {
		if decoded, err := url.QueryUnescape(text); err == nil {
			text = decoded
		}
	}
	return zeroed(text)
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
