package kubetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// forward is port-forward: each pair of an error and a data stream is a connection to
// a port. The streams are SPDY's, over the connection itself or, as since Kubernetes
// 1.31, over a WebSocket.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	pending := make(chan httpstream.Stream, 16)
	accept := func(stream httpstream.Stream, _ <-chan struct{}) error {
		pending <- stream
		return nil
	}
	connection := s.upgrade(w, r, accept)
	if connection == nil {
		return
	}
	defer func() { _ = connection.Close() }() // its other end is the client's affair
	if !s.begin() {
		return
	}
	defer s.streams.Done()
	// /api/v1/namespaces/NAMESPACE/pods/NAME/portforward
	parts := strings.Split(r.URL.Path, "/")
	dir := filepath.Join(s.dir, "pods", parts[4], parts[6])
	ctx, complaints := r.Context(), map[string]httpstream.Stream{}
	for {
		select {
		case stream := <-pending:
			port := stream.Headers().Get(corev1.PortHeader)
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				complaints[port] = stream
				continue
			}
			s.streams.Go(func() { s.port(ctx, filepath.Join(dir, port), stream, complaints[port]) })
		case <-connection.CloseChan():
			return
		case <-s.closing:
			return
		}
	}
}

// upgrade answers what was asked for; nil if it refused.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, accept httpstream.NewStreamHandler) httpstream.Connection {
	if websocket.IsWebSocketUpgrade(r) && !s.Old {
		up := websocket.Upgrader{Subprotocols: []string{constants.WebsocketsSPDYTunnelingPortForwardV1}}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return nil
		}
		connection, err := spdy.NewServerConnection(portforward.NewTunnelingConnection("server", conn), accept)
		if err != nil {
			return nil
		}
		return connection
	}
	if !strings.EqualFold(r.Header.Get(httpstream.HeaderUpgrade), spdy.HeaderSpdy31) {
		refuse(w, http.StatusBadRequest, "want an upgrade to SPDY")
		return nil
	}
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return nil
	}
	return spdy.NewResponseUpgrader().UpgradeResponse(w, r, accept)
}

// log is the file CONTAINER.log of the pod's directory.
func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	text, err := os.ReadFile(filepath.Join(s.dir, "pods", parts[4], parts[6], filepath.Base(r.URL.Query().Get("container"))+".log"))
	if err != nil {
		refuse(w, http.StatusNotFound, "there is no such log")
		return
	}
	_, _ = w.Write(text)
}

// port serves one connection from the files of a directory.
func (s *Server) port(ctx context.Context, dir string, data, complaint httpstream.Stream) {
	defer complaint.Close()
	defer data.Close()
	if _, err := os.Stat(dir); err != nil {
		fmt.Fprintf(complaint, "error forwarding port %s: connection refused", filepath.Base(dir))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.streams.Go(func() {
		select {
		case <-s.closing:
			_ = data.Reset()
		case <-ctx.Done():
		}
	})
	request, err := http.ReadRequest(bufio.NewReader(data))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, request.Body)
	answer(data, dir, request)
}

// answer writes a file. What is followed ends with the file.
func answer(to io.Writer, dir string, r *http.Request) {
	// A path that has others below it can't be a file.
	at := strings.Replace(r.URL.Path, "/decisions/", "/decisions.id/", 1)
	name := filepath.Join(dir, filepath.FromSlash(at))
	if r.URL.Query().Has("follow") {
		name += ".follow"
	}
	text, err := os.ReadFile(name)
	status := "200 OK"
	switch {
	case !loopback(r.Host): // as the administration port does
		text, status = []byte("this port answers only to loopback addresses\n"), "403 Forbidden"
	case err != nil:
		text, status = []byte("there is nothing here\n"), "404 Not Found"
	}
	fmt.Fprintf(to, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n%s", status, text)
}

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	return err == nil && net.ParseIP(name).IsLoopback()
}
