package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A Document is one document of a stream, parsed but not yet decoded.
type Document struct {
	// File is the name under which the text was given.
	File string
	// Line is where the document begins, from 1.
	Line int
	// APIVersion, Kind, Namespace and Name are what its head says, as far as
	// they are readable; they identify the document before its type is known.
	APIVersion, Kind, Namespace, Name string

	root *yaml.Node
}

// Split parses a stream of documents separated by lines of three dashes. A
// document that does not parse becomes a problem and does not hide the ones
// after it. Empty documents are skipped.
func Split(file string, data []byte) ([]*Document, []Problem) {
	if len(data) > MaxBytes {
		return nil, []Problem{{
			File: file, Message: fmt.Sprintf("the file has %d bytes, more than the %d allowed", len(data), MaxBytes),
			Remedy: "split it",
		}}
	}
	if !utf8.Valid(data) {
		return nil, []Problem{{File: file, Line: invalidLine(data), Message: "the text is not UTF-8", Remedy: "save it as UTF-8"}}
	}
	var docs []*Document
	var problems []Problem
	for i, c := range chunks(data) {
		if i > maxDocuments || len(docs) > maxDocuments {
			problems = append(problems, Problem{
				File: file, Line: c.line, Message: fmt.Sprintf("the file has more than %d documents", maxDocuments), Remedy: "split it",
			})
			break
		}
		more, p := parse(file, c)
		docs, problems = append(docs, more...), append(problems, p...)
	}
	return docs, truncate(file, problems)
}

func invalidLine(data []byte) int {
	valid := 0
	for valid < len(data) {
		r, n := utf8.DecodeRune(data[valid:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		valid += n
	}
	return 1 + bytes.Count(data[:valid], []byte("\n"))
}

type chunk struct {
	text []byte
	line int // of its first byte, from 1
}

// chunks cuts before every line that begins with a document marker. YAML 1.2
// §9.1.4 (c-forbidden) guarantees that such a line is a marker wherever it
// stands, even inside of a block scalar, so cutting before parsing is exact; it
// lets one broken document leave the others readable.
func chunks(data []byte) []chunk {
	var all []chunk
	start, startLine, line := 0, 1, 1
	for at := 0; at < len(data); line++ {
		end := len(data)
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		if at > start && marker(data[at:end]) {
			all = append(all, chunk{data[start:at], startLine})
			start, startLine = at, line
		}
		at = end
	}
	return append(all, chunk{data[start:], startLine})
}

func marker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// parse reads the documents of one chunk: one as a rule, more when they are
// separated by "..." lines.
func parse(file string, c chunk) (docs []*Document, problems []Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(c.text))
	for len(docs) <= maxDocuments {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return docs, append(problems, syntaxProblem(file, c, err))
		}
		if d := newDocument(file, c.line, &node); d != nil {
			docs = append(docs, d)
		}
	}
	return docs, problems
}

var (
	syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// grammarError are the errors whose line the library counts from 0.
	grammarError = regexp.MustCompile(`^did not find expected ('[,-]'|<|key$|node content)`)
)

func syntaxProblem(file string, c chunk, err error) Problem {
	text := err.Error()
	p := Problem{File: file, Line: c.line, Remedy: "mend the YAML syntax"}
	if m := syntaxError.FindStringSubmatch(text); m != nil {
		text = strings.TrimPrefix(text, m[0])
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			if grammarError.MatchString(text) {
				n++
			}
			// An error at the end would stand on a line that is not there.
			p.Line = c.line + min(n-1, bytes.Count(bytes.TrimSpace(c.text), []byte("\n")))
		}
	}
	p.Message = clip(text)
	return p
}

// newDocument returns nil for a document that holds nothing.
func newDocument(file string, first int, node *yaml.Node) *Document {
	if node.Kind != yaml.DocumentNode || len(node.Content) != 1 {
		return nil
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 {
		return nil
	}
	shift(root, first-1)
	return newRoot(file, root)
}

// newRoot reads the head of a document.
func newRoot(file string, root *yaml.Node) *Document {
	d := &Document{File: file, Line: root.Line, root: root}
	d.APIVersion, d.Kind = text(Child(root, "apiVersion")), text(Child(root, "kind"))
	meta := Child(root, "metadata")
	d.Namespace, d.Name = text(Child(meta, "namespace")), text(Child(meta, "name"))
	return d
}

// shift turns lines of a chunk into lines of its file.
func shift(n *yaml.Node, by int) {
	n.Line += by
	for _, c := range n.Content {
		shift(c, by)
	}
}

// Child returns the value of a key of a mapping; nil when there is none.
func Child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	return clip(n.Value)
}

// clip shortens foreign text so that a message stays one readable line.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }

// truncate keeps the report readable.
func truncate(file string, problems []Problem) []Problem {
	if len(problems) <= maxProblems {
		return problems
	}
	return append(problems[:maxProblems:maxProblems], Problem{
		File: file, Message: fmt.Sprintf("more than %d problems, the others are not shown", maxProblems), Remedy: "mend these first",
	})
}
