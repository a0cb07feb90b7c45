package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// patience is how long a call may take, and a client be slow.
	patience = 10 * time.Second
	// most, in bytes, is read of an answer.
	most = 64 << 10
)

const usage = `usage:
  shop serve storefront|checkout|payments   serve on $LISTEN, or :8080
  shop get|post URL                         call, and print what comes back`

// run is the program as a function of its arguments.
func run(args []string, getenv func(string) string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New(usage)
	}
	switch args[0] {
	case "serve":
		return serve(args[1], getenv, out)
	case "get", "post":
		return call(strings.ToUpper(args[0]), args[1], out)
	}
	return errors.New(usage)
}

// serve serves until the process ends.
func serve(name string, getenv func(string) string, out io.Writer) error {
	h, err := service(name, or(getenv("CHECKOUT"), "http://checkout"), or(getenv("PAYMENTS"), "http://payments"))
	if err != nil {
		return err
	}
	s := &http.Server{Addr: or(getenv("LISTEN"), ":8080"), Handler: h, ReadHeaderTimeout: patience, ReadTimeout: patience}
	fmt.Fprintln(out, name, "listens on", s.Addr)
	return s.ListenAndServe()
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// service is one of the three, which knows where the others are.
func service(name, checkout, payments string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	switch name {
	case "storefront":
		mux.HandleFunc("POST /buy", pass(checkout+"/orders"))
	case "checkout":
		mux.HandleFunc("POST /orders", pass(payments+"/v1/charges"))
	case "payments":
		mux.HandleFunc("POST /v1/charges", charge)
		mux.HandleFunc("GET /v1/charges", charges)
	default:
		return nil, fmt.Errorf("there is no service %q", name)
	}
	return mux, nil
}

// charge says who has called: the sidecar has put it there, and nobody else can.
func charge(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintln(w, "charged, for", or(r.Header.Get("X-Outrider-Peer"), "somebody unknown"))
}

func charges(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "no charges yet") }

// pass does its work by calling the next service.
func pass(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to, http.NoBody)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := client().Do(next)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, io.LimitReader(answer.Body, most)) // the caller went away
	}
}

func client() *http.Client { return &http.Client{Timeout: patience} }

// call prints the status of an answer, what Outrider says of it, and its body.
func call(method, url string, out io.Writer) error {
	request, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client().Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Fprintln(out, answer.Status)
	for _, name := range []string{"Proxy-Status", "X-Outrider-Decision"} {
		if value := answer.Header.Get(name); value != "" {
			fmt.Fprintf(out, "%s: %s\n", name, value)
		}
	}
	_, err = io.Copy(out, io.LimitReader(answer.Body, most))
	return err
}
