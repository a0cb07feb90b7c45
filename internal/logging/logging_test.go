package logging_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/logging"
)

func TestLevelDecidesWhatIsWritten(t *testing.T) {
	cases := []struct {
		level string
		lines int
	}{
		{"debug", 4}, {"info", 3}, {"", 3}, {"WARN", 2}, {"error", 1},
	}
	for _, c := range cases {
		t.Run("level "+c.level, func(t *testing.T) {
			var out bytes.Buffer
			log, err := logging.New(&out, c.level, "")
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("d")
			log.Info("i")
			log.Warn("w")
			log.Error("e")
			if got := strings.Count(out.String(), "\n"); got != c.lines {
				t.Errorf("wrote %d lines, want %d:\n%s", got, c.lines, out.String())
			}
		})
	}
}

func TestFormats(t *testing.T) {
	var text, js bytes.Buffer
	for format, out := range map[string]*bytes.Buffer{"text": &text, "JSON": &js} {
		log, err := logging.New(out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("bound", "address", "127.0.0.1:1")
	}
	if !strings.Contains(text.String(), "msg=bound address=127.0.0.1:1") {
		t.Errorf("text form is %q", text.String())
	}
	var record map[string]any
	if err := json.Unmarshal(js.Bytes(), &record); err != nil || record["msg"] != "bound" {
		t.Errorf("json form is %q (%v)", js.String(), err)
	}
}

func TestUnknownNamesAreErrorsThatQuoteThem(t *testing.T) {
	for _, c := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		log, err := logging.New(&bytes.Buffer{}, c[0], c[1])
		if log != nil || err == nil {
			t.Fatalf("New(%q, %q) = %v, %v; want an error", c[0], c[1], log, err)
		}
		if !strings.Contains(err.Error(), `"loud"`) && !strings.Contains(err.Error(), `"xml"`) {
			t.Errorf("error %q does not quote the name", err)
		}
	}
}
