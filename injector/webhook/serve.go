package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/netutil"
)

// A Serving is how the handler is served.
type Serving struct {
	Handler http.Handler
	// GetCertificate is asked for each handshake.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Log            *slog.Logger
}

// Serve answers connections of l until ctx ends; then it lets answers under way end,
// and returns nil.
func (s Serving) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.Handler, MaxHeaderBytes: maxHead, ReadHeaderTimeout: handshakeAndHead,
		ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.GetCertificate},
		ErrorLog:  slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(netutil.LimitListener(l, maxConnections), "", "") }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the webhook: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ending)
	if err != nil {
		err = errors.Join(fmt.Errorf("end the webhook: %w", err), server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
