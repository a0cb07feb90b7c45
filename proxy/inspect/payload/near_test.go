package payload_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// Values that are close to the shapes that detectors look for, and are none.
func TestWhatComesCloseIsNoAttack(t *testing.T) {
	texts := []string{
		"or 1 = 2 of them",
		"and 5 more",
		"if(a=1, b)",
		"if(x == 1) return y",
		"IF(A1=0,\"none\",A1)",
		"case when status = 'open' then 1 else 0 end",
		"Try `stty 0' -- it works much better.",
		"the 'left' side -- or so we were told last year",
		"it's group by group, order by order",
		"the 'old' and sorted(list) order by name",
		"version()",
		"user()",
		"select-all",
		"union selected",
		"the \"union select\" club",
		"select @media from the list",
		"right(now)",
		"repeat(3)",
		"concat(",
		"or [1,2]",
		"or \"both\" of them",
		"the alert()",
		"setting (alert) and prompt(text) to show",
		"count by(alert)(up)",
		"the function alert(message) shows it",
		"severity: [alert]",
		"use el.innerHTML = text and it works",
		"<form action=\"/search\"><input name=q></form>",
		"<a href=\"https://a.example\">a</a>",
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\"><path d=\"M0 0\"/></svg>",
		"<style>p{color:red}</style>",
		"<b>bo</b>ld and <i>ita</i>lic",
		"\nquit smoking",
		"a note\nmail the form",
	}
	var s payload.Scanner
	for _, text := range texts {
		for _, where := range []payload.Where{payload.Argument, payload.Entry, payload.Member} {
			if found := s.Scan(text, where); clue.Weight(found) >= clue.Strong {
				t.Errorf("%q: %s", text, names(found))
			}
		}
	}
	// What is cut off is suspicious, and no more.
	for _, text := range []string{"concat(", "select(user(", "if(2="} {
		if found := s.Scan(text, payload.Argument); clue.Weight(found) != clue.Suspicious {
			t.Errorf("%q: %s", text, names(found))
		}
	}
	if len(texts) < 34 {
		t.Errorf("only %d texts", len(texts))
	}
}
