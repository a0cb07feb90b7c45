package message

import "testing"

func TestEventStreams(t *testing.T) {
	cases := map[string]bool{
		"text/event-stream":               true,
		"Text/Event-Stream":               true,
		"text/event-stream;charset=utf-8": true,
		"text/event-stream ; a=b":         true,
		"text/event-stream\t;a=b":         true,
		"":                                false,
		"text/event-strea":                false,
		"text/event-streams":              false,
		"text/event-stream+json":          false,
		"application/json":                false,
		" text/event-stream":              false,
	}
	if len(cases) < 11 {
		t.Fatalf("only %d cases", len(cases))
	}
	for value, want := range cases {
		if got := IsEventStream(value); got != want {
			t.Errorf("%q: %t", value, got)
		}
		if got := IsEventStream([]byte(value)); got != want {
			t.Errorf("the bytes %q: %t", value, got)
		}
	}
}
