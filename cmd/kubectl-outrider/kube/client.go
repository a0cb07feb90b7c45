package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say which cluster is meant. Empty means what kubectl would take.
type Options struct {
	// Kubeconfig is the file, Context one of its contexts.
	Kubeconfig, Context string
}

// A Client asks one API server.
type Client struct {
	http   *http.Client
	base   *url.URL
	config *rest.Config

	// Namespace is the one that the context names, "default" if none.
	Namespace string
}

// New reads the kubeconfig as kubectl does. It asks nobody yet.
func New(o Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("the API server's address %q: %w", config.Host, err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return &Client{http: client, base: base, config: config, Namespace: namespace}, nil
}

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A StatusError is a refusal of the API server.
type StatusError struct {
	// Code is that of HTTP, Message the server's own.
	Code    int
	Message string
}

// Error implements error.
func (e *StatusError) Error() string { return e.Message }

// IsNotFound tells whether what was asked for is not there.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Code == http.StatusNotFound
}

// get reads the object at a path.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	text, err := c.read(ctx, path, query, "application/json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// read reads what is at a path.
func (c *Client) read(ctx context.Context, path string, query url.Values, accept string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at := c.base.JoinPath(path)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("read %s: the answer has more than %d bytes", path, maxAnswer)
	case answer.StatusCode != http.StatusOK:
		return nil, &StatusError{answer.StatusCode, refusal(path, answer.StatusCode, text)}
	}
	return text, nil
}

// refusal is why something was not given, as far as the server says.
func refusal(path string, code int, text []byte) string {
	var status metav1.Status
	if json.Unmarshal(text, &status) == nil && status.Message != "" {
		return fmt.Sprintf("the API server refuses %s: %.300s", path, status.Message)
	}
	return fmt.Sprintf("the API server answers %d to %s", code, path)
}
