package bodies_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// form is a multipart form of one file, between two fields.
func form(contentType, content string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n" + contentType + "\r\n" + content + "\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n2\r\n--b--\r\n"
}

func TestFilesAreRead(t *testing.T) {
	kind := func(t string) string { return "Content-Type: " + t + "\r\n" }
	tests := []struct {
		name, contentType, content string
		want                       []string
	}{
		{"JSON", kind("application/json"), `{"a":[1,{"b":"x"}]}`, []string{"f.a.0=1", "f.a.1.b=x"}},
		{"JSON of another type", kind("application/octet-stream"), ` {"a":1}`, []string{"f.a=1"}},
		{"JSON that is broken", kind("application/vnd.a+json"), `{"a":1} x`, []string{"f.a=1", `f={"a":1} x`}},
		{"XML", kind("application/xml"), `<a b="c">x</a>`, []string{"f.a.@b=c", "f.a=x"}},
		{"XML of no type", "", `<?xml version="1.0"?><a>x</a>`, []string{"f.a=x"}},
		{"a drawing", kind("image/svg+xml"), `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x"><svg/>`, []string{
			`f=<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x"><svg/>`, `f=<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x"><svg/>`,
		}},
		{"a form", kind("application/x-www-form-urlencoded"), "a=1&b=%3C+", []string{"f.a=1", "f.b=< "}},
		{"a text", kind("text/csv"), "a;b\r\n1;2\r\n", []string{"f=a;b\r\n1;2\r\n"}},
		{"a text that says it is bytes", kind("application/octet-stream"), "hello world", []string{"f=hello world"}},
		{"a text in an older charset", kind("text/plain"), "caf\xe9", []string{"f=caf\xe9"}},
		{"bytes", kind("image/png"), "\x89PNG\r\n\x1a\n\x00\x00", nil},
		{"bytes that say they are text", kind("text/plain"), "\x00\x01\x02", nil},
		{"nothing", kind("text/plain"), "", nil},
	}
	if len(tests) < 13 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to, got := collect(100)
			w := bodies.Parts{Sink: to, Files: true}
			w.Read([]byte(form(tt.contentType, tt.content)), "b")
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOnlyJSONIsReadOfFilesOtherwise(t *testing.T) {
	for content, want := range map[string]int{"Content-Type: application/json\r\n\r\n[1,2]": 2, "Content-Type: text/plain\r\n\r\nhello": 0, "\r\n[1]": 0} {
		to, got := collect(100)
		head, body, _ := strings.Cut(content, "\r\n")
		w := bodies.Parts{Sink: to}
		w.Read([]byte(form(head+"\r\n", strings.TrimPrefix(body, "\r\n"))), "b")
		if len(*got) != want {
			t.Errorf("%q: %v", content, *got)
		}
	}
}

func TestPartsAreBounded(t *testing.T) {
	to, got := collect(4)
	w := bodies.Parts{Sink: to, Files: true}
	w.Read([]byte(form("Content-Type: application/json\r\n", "[1,2,3,4]")), "b")
	if !to.Full || len(*got) != 2 {
		t.Errorf("of 3 parts and 4 values with room for 4: %v, full %t", *got, to.Full)
	}
}

// FuzzFile holds that of a file that is text all of it is looked at, as one value or as
// what encoding/json and encoding/xml make of it.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"hello", `{"a":1}`, "<?xml?><a>b</a>", "a=b", "\x00", "[x]"} {
		f.Add("text/plain", s)
		f.Add("application/xml", s)
	}
	f.Fuzz(func(t *testing.T, contentType, content string) {
		to, got := collect(1 << 20)
		w := bodies.Parts{Sink: to, Files: true}
		read := w.File("f", contentType, content)
		if bodies.IsText(content) && content != "" && !read {
			t.Errorf("%q of type %q is not read", content, contentType)
		}
		for _, v := range *got {
			if !strings.HasPrefix(v, "f") {
				t.Errorf("value %q", v)
			}
		}
	})
}
