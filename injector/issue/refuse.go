package issue

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/identity/meshca/wire"
)

// A reason is why something was refused: a label of the metrics.
type reason string

// The reasons.
const (
	badRequest  reason = "bad_request"
	badToken    reason = "bad_token"
	notMTLS     reason = "no_identity"
	forbidden   reason = "forbidden"
	limited     reason = "rate_limited"
	overload    reason = "overload"
	noReview    reason = "review_failed"
	noSignature reason = "sign_failed"
	noSuchPath  reason = "no_such_path"
)

// reasons is the closed set, in a fixed order.
func reasons() []reason {
	return []reason{badRequest, badToken, notMTLS, forbidden, limited, overload, noReview, noSignature, noSuchPath}
}

// A refusal ends a request.
type refusal struct {
	reason reason
	// err is for the log only.
	err error
	// after is when to come again; 0: it is the asker's to know.
	after time.Duration
}

// Error implements error.
func (r *refusal) Error() string { return string(r.reason) + ": " + r.err.Error() }

// Unwrap gives the cause.
func (r *refusal) Unwrap() error { return r.err }

func refuse(why reason, err error) *refusal { return &refusal{reason: why, err: err} }

func refuseFor(why reason, after time.Duration, text string) *refusal {
	return &refusal{reason: why, err: errors.New(text), after: after}
}

// status says how a refusal looks from outside. What it says helps who has made
// a mistake, and tells who is guessing nothing.
func (r reason) status() (int, string) {
	switch r {
	case badRequest:
		return http.StatusBadRequest, "the request is not one that this version understands"
	case badToken:
		return http.StatusUnauthorized, "the token was not accepted; it must be a projected service account token of this cluster, for this pod and the audience " + wire.Audience
	case notMTLS:
		return http.StatusUnauthorized, "present a valid SVID of this mesh"
	case forbidden:
		return http.StatusForbidden, "this workload gets no identity from here; the control plane's log says why"
	case limited:
		return http.StatusTooManyRequests, "too many requests; come again later"
	case overload, noReview:
		return http.StatusServiceUnavailable, "the control plane can't check tokens now; come again later"
	case noSignature:
		return http.StatusServiceUnavailable, "the control plane can't sign now; come again later"
	case noSuchPath:
		return http.StatusNotFound, "there is nothing here"
	}
	return http.StatusInternalServerError, "the control plane has failed"
}

// level is low for what anybody can cause as often as they like: that is what the
// metrics are for.
func (r reason) level() slog.Level {
	switch r {
	case limited, overload, noSuchPath:
		return slog.LevelDebug
	case noReview, noSignature:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

// answer writes a refusal, and what happened into the log.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, refused *refusal, about ...any) {
	s.metrics.refused(refused.reason)
	s.log.Log(r.Context(), refused.reason.level(), "identity refused",
		append([]any{"reason", string(refused.reason), "err", refused.err, "remote", r.RemoteAddr}, about...)...)
	status, text := refused.reason.status()
	if refused.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(refused.after.Round(time.Second)/time.Second)+1))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if status < http.StatusInternalServerError {
		// Whoever got it wrong keeps no connection for the next attempt, or a
		// few of them would hold all that there are.
		w.Header().Set("Connection", "close")
	}
	s.write(w, status, wire.Refusal{Error: text})
}

// write sends a message. That it can't be written is the asker's loss, who
// hears of it by a closed connection.
func (s *Server) write(w http.ResponseWriter, status int, message any) {
	body, err := json.Marshal(message)
	if err != nil {
		s.log.Error("write an answer", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
