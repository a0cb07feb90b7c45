package ftw

import (
	"bytes"
	"fmt"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// input is a request as the suite writes it.
type input struct {
	// Where it would be sent, which is not up to the suite here.
	Address string `yaml:"dest_addr"`
	Port    int    `yaml:"port"`

	Method  string            `yaml:"method"`
	URI     string            `yaml:"uri"`
	Version *string           `yaml:"version"` // may be empty, as in HTTP/0.9
	Headers map[string]string `yaml:"headers"`
	Data    string            `yaml:"data"`
	// Complete adds the fields that a client would; true when absent.
	Complete *bool `yaml:"autocomplete_headers"`
	// Encoded is the whole request in base64, instead of all that.
	Encoded string `yaml:"encoded_request"`
}

const form = "application/x-www-form-urlencoded"

// wire is the request as go-ftw sends it.
func (in input) wire() ([]byte, error) {
	if in.Encoded != "" {
		return decode(in.Encoded)
	}
	body, err := in.body()
	if err != nil {
		return nil, err
	}
	complete := in.Complete == nil || *in.Complete
	names := slices.Sorted(maps.Keys(in.Headers))
	fields := make([][2]string, 0, len(names)+3)
	for _, name := range names {
		fields = append(fields, [2]string{name, in.Headers[name]})
	}
	if complete && body != "" {
		if !has(fields, "Content-Type") {
			fields = append(fields, [2]string{"Content-Type", form})
		}
		if strings.EqualFold(value(fields, "Content-Type"), form) {
			body = encodeForm(body)
		}
	}
	if strings.Contains(strings.ToLower(value(fields, "Content-Type")), "multipart/form-data;") {
		body = strings.ReplaceAll(body, "\n", "\r\n")
	}
	if complete {
		fields = addStandard(fields, in.method(), body)
	}
	var b bytes.Buffer
	version := "HTTP/1.1"
	if in.Version != nil {
		version = *in.Version
	}
	fmt.Fprintf(&b, "%s %s %s\r\n", in.method(), or(in.URI, "/"), version)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n" + body)
	return b.Bytes(), nil
}

func (in input) method() string { return or(in.Method, "GET") }

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// body is the data, in which the suite repeats a text by a template.
func (in input) body() (string, error) {
	if !strings.Contains(in.Data, "{{") {
		return in.Data, nil
	}
	t, err := template.New("data").Funcs(template.FuncMap{
		"repeat": func(n int, s string) string { return strings.Repeat(s, n) },
	}).Parse(in.Data)
	if err != nil {
		return "", fmt.Errorf("read a template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		return "", fmt.Errorf("fill a template in: %w", err)
	}
	return b.String(), nil
}

func has(fields [][2]string, name string) bool {
	return slices.ContainsFunc(fields, func(f [2]string) bool { return sameName(f[0], name) })
}

func value(fields [][2]string, name string) string {
	for _, f := range fields {
		if sameName(f[0], name) {
			return f[1]
		}
	}
	return ""
}

func sameName(a, b string) bool {
	return textproto.CanonicalMIMEHeaderKey(a) == textproto.CanonicalMIMEHeaderKey(b)
}

// addStandard adds what tells the end of the message and of the connection.
func addStandard(fields [][2]string, method, body string) [][2]string {
	if !has(fields, "Connection") {
		fields = append(fields, [2]string{"Connection", "close"})
	}
	withBody := slices.Contains([]string{"PUT", "PATCH"}, method) || strings.HasPrefix(method, "POST") || strings.HasSuffix(method, "DELETE")
	if !has(fields, "Content-Length") && (body != "" || withBody) {
		fields = append(fields, [2]string{"Content-Length", strconv.Itoa(len(body))})
	}
	return fields
}

// encodeForm encodes a form that is not encoded yet: one that decoding does not
// change.
func encodeForm(body string) string {
	if decoded, err := url.QueryUnescape(body); err != nil || decoded != body {
		return body
	}
	pairs := strings.Split(strings.TrimSuffix(body, "&"), "&")
	for i, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		pairs[i] = url.QueryEscape(name)
		if ok {
			pairs[i] += "=" + url.QueryEscape(value)
		}
	}
	return strings.Join(pairs, "&")
}
