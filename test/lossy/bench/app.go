package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/app"
)

// serveApps runs the two applications until they are closed.
type apps struct {
	web, grpc net.Listener
	server    *http.Server
	running   sync.WaitGroup
}

func startApps(web, grpc net.Listener) *apps {
	a := &apps{web: web, grpc: grpc, server: &http.Server{
		Handler: http.HandlerFunc(echoMessage), Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute,
	}}
	a.server.Protocols.SetUnencryptedHTTP2(true)
	a.running.Go(func() { _ = app.New().Serve(web) }) // what fails is seen by the callers
	a.running.Go(func() { _ = a.server.Serve(grpc) }) // as above
	return a
}

func (a *apps) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.server.Close()
	}
	err = errors.Join(err, a.web.Close())
	a.running.Wait()
	return err
}

// echoMessage is a unary method of gRPC which returns what it was given.
func echoMessage(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(io.LimitReader(r.Body, 2*messageBytes))
	if err != nil {
		http.Error(w, fmt.Sprintf("read the message: %v", err), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	if _, err := w.Write(message); err != nil {
		return // the caller is gone
	}
	w.Header().Set("Grpc-Status", "0")
}
