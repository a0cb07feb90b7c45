package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// removed stands where something was.
const removed = "REMOVED"

// secrets are what is removed wherever it stands, by its form: it is the last of the
// nets, below structures of which only what is known to be harmless is taken. What
// stands around it stays, so that JSON stays JSON.
var secrets = [...]struct {
	form *regexp.Regexp
	to   string
}{
	// A private key, whole or cut off, also where line breaks are escaped.
	{regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(-----END [A-Z0-9 ]*PRIVATE KEY-----)?`), removed},
	// A JSON Web Token, such as those of service accounts (RFC 7519). Its first two
	// parts begin as every JSON object does in base64.
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]*\.eyJ[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?`), removed},
	// Credentials of HTTP (RFC 9110 §11.6.2).
	{regexp.MustCompile(`(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{8,}`), "${1} " + removed},
	// What somebody calls a secret, to the end of the text or the line that it is in:
	// where a value ends nobody can tell, and what stands behind it is worth less.
	{regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api[_-]?key|authorization|cookie)\\?["']?[ \t]*[=:][ \t]*\\?["']?)[^"\r\n\\]+`), "${1}" + removed},
	// A password in a URL (RFC 3986 §3.2.1).
	{regexp.MustCompile(`://[^\s/@:"]+:[^\s/@"]+@`), "://" + removed + "@"},
}

// scrub removes what has the form of a secret.
func scrub(text []byte) []byte {
	for _, s := range secrets {
		text = s.form.ReplaceAll(text, []byte(s.to))
	}
	return text
}

// tree removes from a document of JSON what may be secret by its place: the values of
// headers that policies ask for, and queries. What is no JSON is refused.
func tree(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("left out, for it is no JSON: %w", err)
	}
	return json.MarshalIndent(clean(value), "", "  ")
}

func clean(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return cleanMap(v)
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	case string:
		return string(scrub([]byte(v)))
	}
	return value
}

func cleanMap(m map[string]any) any {
	// A condition on a header has its name beside its values.
	condition := false
	for key := range m {
		condition = condition || strings.EqualFold(key, "header") || strings.EqualFold(key, "headers")
	}
	for key, v := range m {
		low := strings.ToLower(key)
		switch {
		case condition && (low == "values" || low == "notvalues" || low == "headers"):
			m[key] = removed
		case low == "query", low == "env", low == "envfrom":
			m[key] = removed
		case named(low):
			m[key] = removed
		default:
			m[key] = clean(v)
		}
	}
	return m
}

// named tells whether a key speaks of a secret.
func named(key string) bool {
	for _, word := range []string{"password", "secret", "privatekey", "apikey", "token", "authorization", "cookie"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// lines cleans a log: each line that is JSON by its places, the others by their forms.
func lines(text []byte) []byte {
	var b bytes.Buffer
	// A key has lines of its own; it must go as a whole before they are looked at.
	text = secrets[0].form.ReplaceAll(text, []byte(removed+"\n"))
	for line := range bytes.Lines(text) {
		var value any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if d.Decode(&value) == nil {
			if out, err := json.Marshal(clean(value)); err == nil {
				b.Write(out)
				b.WriteByte('\n')
				continue
			}
		}
		b.Write(scrub(line))
	}
	return b.Bytes()
}
