package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// Prefix is where on the health port probes are served.
const Prefix = "/probe/"

// slack is what answering takes when the application has used up its time.
const slack = time.Second

// A Handler answers probes. It is immutable.
type Handler struct {
	asks map[string]ask // by name
}

// An ask is one question, ready to be asked at an address.
type ask struct {
	timeout time.Duration
	at      uint16
	// put asks the question of "ip:port"; what it returns is for people.
	put func(ctx context.Context, address string) error
}

// New returns a handler of the probes, which are valid.
func New(probes []config.Probe) *Handler {
	h := &Handler{asks: make(map[string]ask, len(probes))}
	for _, p := range probes {
		a := ask{timeout: p.Timeout, at: p.Port()}
		if a.timeout == 0 {
			a.timeout = config.DefaultProbeTimeout
		}
		switch {
		case p.HTTP != nil:
			a.put = overHTTP(*p.HTTP)
		case p.GRPC != nil:
			a.put = overGRPC(p.GRPC.Service)
		default:
			a.put = overTCP
		}
		h.asks[p.Name] = a
	}
	return h
}

// ServeHTTP implements [http.Handler]: 200 when the application is well, 503 when
// it is not, 404 when nobody has configured such a probe.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := h.asks[r.URL.Path[min(len(Prefix), len(r.URL.Path)):]]
	if !ok || r.Method != http.MethodGet {
		answer(w, http.StatusNotFound, "no such probe")
		return
	}
	here, ok := arrived(r)
	if !ok {
		answer(w, http.StatusInternalServerError, "where this request came in is not known")
		return
	}
	a.allowTime(w)
	ctx, cancel := context.WithTimeout(r.Context(), a.timeout)
	defer cancel()
	if err := a.put(ctx, net.JoinHostPort(here.String(), strconv.Itoa(int(a.at)))); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, "ok")
}

// allowTime gives this answer as long as the question may take: the port's own
// bounds are for answers that come at once.
func (a ask) allowTime(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	until := time.Now().Add(a.timeout + slack)
	// Where they can't be set, a test's recorder, there is nothing to cut short.
	_ = c.SetReadDeadline(until)
	_ = c.SetWriteDeadline(until)
}

// arrived is the address at which the request came in.
func arrived(r *http.Request) (netip.Addr, bool) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddrPort(local.String())
	return a.Addr().Unmap(), err == nil
}

func answer(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n") // the kubelet has gone; there is nobody to tell
}

// overTCP asks whether somebody accepts.
func overTCP(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", reason(err))
	}
	return conn.Close()
}
