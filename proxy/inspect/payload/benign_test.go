package payload_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// What looks like an attack in the bodies of public APIs, and the attack that differs from
// it in what makes it one: whatever is let through must not let the other through.
func TestWhatATextIsMakesTheDifference(t *testing.T) {
	cases := []struct {
		name           string
		benign, attack string
	}{
		{
			"a statement is an API's own; a quote that ends a text is not",
			"SELECT a.id, count(*) AS n FROM orders AS a WHERE 1 = 1 AND a.state IN ('new', 'paid') GROUP BY a.id",
			"SELECT a.id FROM orders' OR '1'='1",
		},
		{
			"a union is its own as well",
			"SELECT id, name FROM a UNION ALL SELECT id, name FROM b WHERE id > 3 ORDER BY 1",
			"SELECT id FROM a' UNION ALL SELECT id, password FROM users -- ",
		},
		{
			"a query that is named",
			"WITH t AS (SELECT id FROM a WHERE n = 1 OR 1 = 1) SELECT * FROM t WHERE EXISTS (SELECT 1 FROM b)",
			"with t' or 1=1 -- ",
		},
		{
			"subqueries behind a comment",
			"-- revenue of the day\nSELECT max(total) FROM (SELECT region, sum(price) AS total FROM sales GROUP BY region) AS t WHERE 5 > 3 OR 2 > 1",
			"-- x\n1 OR 1=1",
		},
		{"a title", "Benchmark (release)", "Benchmark(5000000,md5(1))"},
		{"a range of versions", ">=16 || 14 >=14.17", "16 || 14=14"},
		{"names in backticks", "Only used when `kind` is `STATUS` and `mode` = `FULL`.", "x' and 'STATUS'='STATUS"},
		{"a sign in quotes", "Separate the values with a '|' as in a|b, not with \"&\".", "a'|'1"},
		{"a list of words in quotes", `reserved: ["empty","and","or","in","distinct"]`, `empty" or "in"="in`},
		{
			"a text in quotes that begins with a hash", `"# Title of the manual\n# and its subtitle"`,
			`"# Title of the manual`,
		},
		{"members in a text", `"success": {"id": "0tz", "user": {"type": "dir"}, "ls" : [1]`, `;"id"`},
		{"names of a list", "(\n  \"fmt\"\n  \"net\",\n  \"env\"\n)", "x;\"id\";"},
		{"columns of a table", "CREATE TABLE \"t\" (\n  \"id\" INT,\n  \"host\" VARCHAR(100)\n)", "x|\"id\" -u"},
		{"an apostrophe", "I'd like a {Type} pizza.", "x;i'd'"},
		{"words of a pattern", "^(news|name|ping|pink|play|plus|post|prod|sale)$", "x|ping|id"},
		{"a directory", "|arte|audi|directory|education|equipment|finance|foundation|", "x|dir"},
		{"the step of a pipeline", "npm run build && tsc bench.ts && node bench.js", "x && node bench.js"},
		{"digits that are not shown", "filter=payoutId:{5********8}", "{5*8}"},
		{
			"a configuration in a form", "Name: shop\nMap:\n  Location: here\n\tContent-Type: a\nEnd: 1\n",
			"a@example.com\r\nContent-Type: text/html\r\n\r\nx\r\ny",
		},
		{"a configuration is no mail", "Name: shop\nA:\n  X-Map: a\n", "a@example.com\nbcc: b@example.com\nx\ny\nz"},
		{
			"where a token is mounted", "/var/run/secrets/kubernetes.io/serviceaccount",
			"/var/run/secrets/kubernetes.io/serviceaccount/token",
		},
		{
			"the key of a managed field", `k:{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}`,
			`k:{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount/token"}`,
		},
		{"a word in quotes that ends a sentence", "If it was encoded, set it to \n\"base64\". Otherwise leave it\n", "x\n\"base64\" /etc/passwd"},
		{
			"two versions and a heading",
			strings.Repeat("It reads files that it should not.\n", 8) + "\nIt is fixed in 5.3 and 6.1.\n\n## Workarounds\n",
			"5.3 and 6.1 #",
		},
		{
			"the comment of a script",
			"set -e\nname=\"${1:-shop}\"\n  # All that follows needs it\n" + strings.Repeat("date >> log\n", 20),
			strings.Repeat("a line\n", 2) + "x\" # " + strings.Repeat("a line\n", 40),
		},
		{
			"a sample of PHP",
			"<?php\n\n$curl = curl_init();\n\ncurl_setopt_array($curl, array(\n  CURLOPT_URL => \"https://api.example.com/v1/templates\",\n" +
				"  CURLOPT_RETURNTRANSFER => true,\n  CURLOPT_TIMEOUT => 30,\n  CURLOPT_HTTPHEADER => array(\"Accept: application/json\"),\n));\n\n" +
				"$response = curl_exec($curl);\n$err = curl_error($curl);\n\necho $response;\n",
			"<?php\n\n// " + strings.Repeat("a picture of our last holiday, ", 10) + "\n\n$f = $_POST;\n$f['a']($f['b']);\n",
		},
		{
			"code that guards against a prototype",
			strings.Repeat("// what merges must not set it\n", 10) + "if (key === '__proto__') {\n  continue\n}\n",
			strings.Repeat("// what merges must not set it\n", 10) + "a['__proto__']['admin'] = true\n",
		},
		{"the name of a language and a link", "Two links, one for Javascript: https://docs.example.com/, (see there)", "javascript: https://%0aalert(1)"},
	}
	var s payload.Scanner
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if found := s.Scan(c.benign, payload.Entry); clue.Weight(found) >= clue.Strong {
				t.Errorf("%q: %s", c.benign, names(found))
			}
			if found := s.Scan(c.attack, payload.Entry); clue.Weight(found) < clue.Strong {
				t.Errorf("not stopped: %q: %s", c.attack, names(found))
			}
		})
	}
	if len(cases) < 28 {
		t.Errorf("only %d cases", len(cases))
	}
}
