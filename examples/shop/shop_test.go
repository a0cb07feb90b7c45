package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func start(t *testing.T, name, checkout, payments string) string {
	t.Helper()
	h, err := service(name, checkout, payments)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestAPurchaseGoesThroughAllThree(t *testing.T) {
	payments := start(t, "payments", "", "")
	checkout := start(t, "checkout", "", payments)
	storefront := start(t, "storefront", checkout, "")
	for _, c := range []struct{ method, url, want string }{
		{"post", storefront + "/buy", "201 Created\ncharged, for somebody unknown\n"},
		{"post", checkout + "/orders", "201 Created\ncharged, for somebody unknown\n"},
		{"get", payments + "/v1/charges", "200 OK\nno charges yet\n"},
		{"get", payments + "/healthz", "200 OK\nok\n"},
		{"get", storefront + "/buy", "405 Method Not Allowed\nMethod Not Allowed\n"},
	} {
		var out bytes.Buffer
		if err := run([]string{c.method, c.url}, nil, &out); err != nil || out.String() != c.want {
			t.Errorf("%s %s: %q, %v; want %q", c.method, c.url, &out, err, c.want)
		}
	}
}

func TestWhatOutriderSaysIsPrinted(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Outrider-Decision", "d0k3f4uq2c5s73a00018")
		w.Header().Set("Proxy-Status", "outrider; error=http_request_denied")
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	var out bytes.Buffer
	if err := run([]string{"post", s.URL}, nil, &out); err != nil || out.String() != "403 Forbidden\nProxy-Status: outrider; error=http_request_denied\nX-Outrider-Decision: d0k3f4uq2c5s73a00018\n" {
		t.Errorf("%q, %v", &out, err)
	}
}

func TestWhatIsNoServiceIsSaid(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{nil, {"serve"}, {"sell", "a"}, {"serve", "warehouse"}, {"get", "http://127.0.0.1:1/"}} {
		if err := run(args, none, &bytes.Buffer{}); err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%q: %v", args, err)
		}
	}
	down := start(t, "storefront", "http://127.0.0.1:1", "")
	var out bytes.Buffer
	if err := run([]string{"post", down + "/buy"}, none, &out); err != nil || !strings.HasPrefix(out.String(), "502 ") {
		t.Errorf("%q, %v", &out, err)
	}
}
