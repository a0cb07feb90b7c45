// Package services makes up benign calls between services, in the shapes of well-known
// public APIs: what the built-in WAF must let through.
//
// The calls are made from a seed, so that a figure can be reproduced. Their texts are
// what people and programs write, some of which looks like attacks to who knows only
// words: SQL in tickets, shell in READMEs, templates, log lines, mails in HTML.
package services

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
)

//go:embed texts.txt
var texts string

// A Call is one request.
type Call struct {
	// Shape is the API that it is like.
	Shape          string
	Method, Target string
	Type           string // Content-Type; empty for no body
	Body           string
}

// Texts are what the calls are made of, which includes all that looks dangerous.
func Texts() []string {
	var all []string
	for line := range strings.SplitSeq(texts, "\n") {
		if line == "" || strings.HasPrefix(line, "# ") && len(all) == 0 {
			continue
		}
		text, err := strconv.Unquote(`"` + line + `"`)
		if err != nil {
			text = line
		}
		all = append(all, text)
	}
	return all
}

// maker makes calls of one seed.
type maker struct {
	*rand.Rand
	texts []string
}

// Calls makes n of them.
func Calls(seed uint64, n int) []Call {
	m := maker{Rand: rand.New(rand.NewPCG(seed, 0)), texts: Texts()}
	shapes := []func() Call{
		m.issue, m.charge, m.pod, m.traces, m.graphql, m.search, m.bulk, m.write, m.chat, m.mail, m.logs, m.query,
		m.list, m.webhook, m.features, m.completion, m.upload, m.statement,
	}
	all := make([]Call, n)
	for i := range all {
		all[i] = shapes[i%len(shapes)]()
	}
	return all
}

func (m maker) text() string { return m.texts[m.IntN(len(m.texts))] }

// line is a text of one line, as people search for.
func (m maker) line() string {
	for {
		if text := m.text(); !strings.Contains(text, "\n") {
			return text
		}
	}
}

func (m maker) id() string { return fmt.Sprintf("%08x", m.Uint32()) }

func (m maker) number() int { return m.IntN(100000) }

func (m maker) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m maker) name() string {
	return m.pick("Ann Lee", "Seán O'Brien", "D'Angelo Russo", "Zoë Müller", "李雷", "Ahmed al-Sayed", "Jean-Luc Picard", "Bobby Tables")
}

func (m maker) time() string {
	return fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02d.%03dZ", 1+m.IntN(12), 1+m.IntN(28), m.IntN(24), m.IntN(60), m.IntN(60), m.IntN(1000))
}

func (m maker) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", m.Uint32(), m.Uint32()&0xffff, m.Uint32()&0xfff, m.Uint32()&0xfff, m.Uint64()&0xffffffffffff)
}

// object is a document; its members come in the order of their names.
type object = map[string]any

const jsonType = "application/json"

func post(shape, target string, body any) Call {
	text, err := json.Marshal(body)
	if err != nil {
		text = []byte(err.Error()) // objects of ours can be marshalled
	}
	return Call{Shape: shape, Method: "POST", Target: target, Type: jsonType, Body: string(text)}
}

func form(shape, target string, pairs ...string) Call {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1]))
	}
	return Call{Shape: shape, Method: "POST", Target: target, Type: "application/x-www-form-urlencoded", Body: b.String()}
}
