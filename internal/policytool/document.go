package policytool

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// accessPolicy is a policy as a document.
type accessPolicy struct {
	APIVersion string           `yaml:"apiVersion"`
	Kind       string           `yaml:"kind"`
	Metadata   authz.Metadata   `yaml:"metadata"`
	Spec       authz.PolicySpec `yaml:"spec"`
}

// writePolicy writes a policy as a document. comments has lines to stand above
// each of its rules.
func writePolicy(p *printer, policy authz.Policy, comments func(rule int) []string) {
	doc := new(yaml.Node)
	err := doc.Encode(accessPolicy{config.APIVersion, config.KindAccessPolicy, policy.Metadata, policy.Spec})
	if err != nil {
		p.fail(err)
		return
	}
	flow(strict.Child(doc, "metadata"))
	spec := strict.Child(doc, "spec")
	flow(strict.Child(spec, "selector"))
	if rules := strict.Child(spec, "rules"); rules != nil {
		for i, rule := range rules.Content {
			compact(rule)
			rule.HeadComment = commented(comments(i))
		}
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		p.fail(err)
	}
	p.printf("%s", b.String())
}

// ruleYAML writes a rule as an element of spec.rules.
func ruleYAML(r authz.Rule) string {
	doc := new(yaml.Node)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if doc.Encode([]authz.Rule{r}) != nil {
		return "" // a rule is plain data
	}
	compact(doc.Content[0])
	if e.Encode(doc) != nil {
		return ""
	}
	return b.String()
}

// compact writes a rule with one line for each of its parts. The empty one stays
// {}, as it is written by hand.
func compact(rule *yaml.Node) {
	for i := 1; i < len(rule.Content); i += 2 {
		flow(rule.Content[i])
	}
}

// flow writes a value in one line.
func flow(n *yaml.Node) {
	if n != nil && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
}

// commented makes comments of lines. What comes from a log or from documents of
// others must not end the comment: a line break in it would go on as YAML.
func commented(lines []string) string {
	var all []string
	for _, line := range lines {
		all = append(all, "# "+printable(line))
	}
	return strings.Join(all, "\n")
}

// printable leaves nothing of foreign text that could end a line or that a
// terminal obeys.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// comment writes lines as comments of their own.
func (p *printer) comment(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		p.printf("%s\n", strings.TrimRight("# "+printable(line), " "))
	}
}

func (p *printer) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
