package sidecars

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// askTimeout is for one answer, the way to the pod included.
	askTimeout = 20 * time.Second
	// maxMetrics, in bytes, bounds an exposition: 200 peers in all their series have
	// some 2 MiB.
	maxMetrics = 8 << 20
	// maxJSON, in bytes, bounds an answer of the administration port. 10,000
	// connections have some 3 MiB.
	maxJSON = 16 << 20
	// maxRefusal, in bytes, is what is read of an answer that is none.
	maxRefusal = 1 << 10
)

// The ports of a sidecar that are asked.
const (
	AdminPort   = 15000
	MetricsPort = 15020
)

// A Dialer reaches ports of pods.
type Dialer interface {
	DialPod(ctx context.Context, namespace, name string, port int) (net.Conn, error)
}

// A Pod is one that is asked.
type Pod struct {
	Namespace, Name string

	dialer Dialer
}

// New is a pod that is reached in a way.
func New(d Dialer, namespace, name string) Pod { return Pod{namespace, name, d} }

// String is "namespace/name".
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Dial reaches a port for an HTTP client, whatever host it names: it is the address's
// port that counts.
func (p Pod) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	return p.dialer.DialPod(ctx, p.Namespace, p.Name, port)
}

// open asks for a path. Whoever gets an answer closes its body.
func (p Pod) open(ctx context.Context, port int, path string) (*http.Response, error) {
	// The administration port answers only to those who call it by this name.
	at := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: p.Dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", p, err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // what can be had of it
		return nil, fmt.Errorf("ask %s for %s: status %d: %.200q", p, path, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	return answer, nil
}

// get reads one answer.
func (p Pod) get(ctx context.Context, port int, path string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := p.open(ctx, port, path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s for %s: %w", p, path, err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("ask %s for %s: the answer has more than %d bytes", p, path, most)
	}
	return text, nil
}

// Text reads what the administration port, or that of metrics, has at a path.
func (p Pod) Text(ctx context.Context, port int, path string) ([]byte, error) {
	return p.get(ctx, port, path, maxJSON)
}

func (p Pod) json(ctx context.Context, path string, into any) error {
	text, err := p.get(ctx, AdminPort, path, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("what %s says at %s: %w", p, path, err)
	}
	return nil
}
