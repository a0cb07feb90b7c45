package webhook_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/injector/webhook"
)

func TestTheWebhookIsServedOverTLS(t *testing.T) {
	// For its certificate only, and a client that trusts it.
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	serving := webhook.Serving{
		Handler: handler(t), Log: slog.New(slog.DiscardHandler),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &other.TLS.Certificates[0], nil },
	}
	go func() { done <- serving.Serve(ctx, l) }()

	client := other.Client()
	defer client.CloseIdleConnections()
	response, err := client.Post("https://"+l.Addr().String()+webhook.Path, "application/json", strings.NewReader(review("shop", pod("", ""), "")))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("%d %s %v", response.StatusCode, body, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS12, RootCAs: client.Transport.(*http.Transport).TLSClientConfig.RootCAs}); err == nil {
		t.Error("TLS 1.2 was spoken")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
