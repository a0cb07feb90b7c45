package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// sClient has openssl connect to the inbound port, say input and hang up. It
// returns all it said.
func sClient(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, programIfPresent(t, "openssl"), append([]string{"s_client", "-ign_eof"}, args...)...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	err := cmd.Run()
	if exit := new(exec.ExitError); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("openssl: %v, %v: %s", err, ctx.Err(), out.String())
	}
	return out.String()
}

const closingRequest = "GET /greeting HTTP/1.1\r\nHost: payments\r\nConnection: close\r\n\r\n"

func TestOpenSSL(t *testing.T) {
	programIfPresent(t, "openssl")
	m := startInbound(t, meshOptions{App: serve(t, app())})
	files := m.pemFiles(t, checkout)
	to := []string{"-connect", m.Port, "-CAfile", files.Bundle}
	own := append([]string{"-cert", files.Cert, "-key", files.Key}, to...)
	cases := []struct {
		name  string
		args  []string
		has   []string // all of these are said
		lacks []string // and none of these
	}{
		{
			name: "TLS 1.3 with an SVID", args: append([]string{"-verify_return_error", "-tls1_3"}, own...),
			has: []string{"New, TLSv1.3", "Verify return code: 0 (ok)", "HTTP/1.1 200 OK", greeting},
		},
		{name: "HTTP/1.1 is declared", args: append([]string{"-alpn", "http/1.1"}, own...), has: []string{"ALPN protocol: http/1.1", "HTTP/1.1 200 OK"}},
		{name: "HTTP/1.1 is chosen", args: append([]string{"-alpn", "h2,http/1.1"}, own...), has: []string{"ALPN protocol: http/1.1", "HTTP/1.1 200 OK"}},
		{name: "nothing is declared", args: own, has: []string{"No ALPN negotiated", "HTTP/1.1 200 OK"}},
		{name: "no session can be resumed", args: own, has: []string{"HTTP/1.1 200 OK"}, lacks: []string{"Post-Handshake New Session Ticket"}},
		{name: "small records", args: append([]string{"-max_send_frag", "512", "-split_send_frag", "512"}, own...), has: []string{"HTTP/1.1 200 OK"}},
		{name: "a host name is of no interest", args: append([]string{"-servername", "anything.example"}, own...), has: []string{"HTTP/1.1 200 OK"}},
		{name: "ChaCha20", args: append([]string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, own...), has: []string{"Cipher is TLS_CHACHA20_POLY1305_SHA256", "HTTP/1.1 200 OK"}},

		{name: "TLS 1.2", args: append([]string{"-tls1_2"}, own...), has: []string{"alert protocol version"}, lacks: []string{"HTTP/1.1"}},
		{name: "no certificate", args: to, has: []string{"alert certificate required"}, lacks: []string{"HTTP/1.1"}},
		{name: "a protocol nobody speaks", args: append([]string{"-alpn", "imap"}, own...), has: []string{"no application protocol"}, lacks: []string{"HTTP/1.1"}},
		{name: "a renegotiation is not offered", args: own, has: []string{"Secure Renegotiation IS NOT supported"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			said := sClient(t, closingRequest, c.args...)
			for _, s := range c.has {
				if !strings.Contains(said, s) {
					t.Errorf("openssl did not say %q:\n%s", s, said)
				}
			}
			for _, s := range c.lacks {
				if strings.Contains(said, s) {
					t.Errorf("openssl said %q:\n%s", s, said)
				}
			}
		})
	}
	atLeast(t, "calls of openssl", len(cases), 12)
}
