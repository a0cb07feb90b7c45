package issue

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"time"

	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/fair"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

// serveSVID issues. Every step can refuse; the cheap ones come first, and no
// work is done for whom nothing is known of.
func (s *Server) serveSVID(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	deadlines(w, bodyTimeout, answerTimeout)
	caller, refused := s.authenticate(r)
	if refused != nil {
		s.answer(w, r, refused)
		return
	}
	about := []any{"id", caller.ID.String(), "pod", caller.Pod, "pod_uid", caller.PodUID, "node", caller.Node}
	answer, refused := s.issue(r, caller)
	if refused != nil {
		s.answer(w, r, refused, about...)
		return
	}
	s.metrics.issued(time.Since(begin))
	s.log.Info("identity issued", append(about,
		"serial", answer.serial, "not_after", answer.notAfter, "issuer", answer.issuer, "remote", r.RemoteAddr)...)
	s.write(w, http.StatusOK, answer.SVIDAnswer)
}

// authenticate finds out who asks.
func (s *Server) authenticate(r *http.Request) (Caller, *refusal) {
	if wait, ok := s.addresses.take(fair.Host(r.RemoteAddr), time.Now()); !ok {
		return Caller{}, refuseFor(limited, wait, "too many requests from this address")
	}
	if r.Method != http.MethodPost {
		return Caller{}, refuse(badRequest, errors.New("the method is "+clipped(r.Method)))
	}
	token, err := bearer(r.Header.Get("Authorization"))
	if err != nil {
		return Caller{}, refuse(badToken, err)
	}
	verdict, refused := s.review(r.Context(), token)
	if refused != nil {
		return Caller{}, refused
	}
	caller, err := s.callerOf(verdict)
	if err != nil {
		return Caller{}, refuse(badToken, err)
	}
	return caller, nil
}

// review asks the cluster, with a bound on how many do so at a time. Verdicts
// are not kept: a pod asks twice an hour, and a token that was revoked since
// must not buy an hour more.
func (s *Server) review(ctx context.Context, token string) (Verdict, *refusal) {
	turn := time.NewTimer(reviewWait)
	defer turn.Stop()
	select {
	case s.reviews <- struct{}{}:
		defer func() { <-s.reviews }()
	case <-turn.C:
		return Verdict{}, refuseFor(overload, reviewWait, "too many tokens wait to be reviewed")
	case <-ctx.Done():
		return Verdict{}, refuse(overload, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	verdict, err := s.opts.Reviewer.Review(ctx, token)
	if err != nil {
		return Verdict{}, refuse(noReview, err)
	}
	return verdict, nil
}

// An issued is an answer and what the log says of it.
type issued struct {
	wire.SVIDAnswer

	serial, issuer string
	notAfter       time.Time
}

// issue decides whether the caller may have its identity, and signs.
func (s *Server) issue(r *http.Request, caller Caller) (*issued, *refusal) {
	if err := s.permitted(caller); err != nil {
		return nil, refuse(forbidden, err)
	}
	if wait, ok := s.pods.take(caller.PodUID, time.Now()); !ok {
		return nil, refuseFor(limited, wait, "too many requests of this pod")
	}
	key, refused := requestedKey(r)
	if refused != nil {
		return nil, refused
	}
	snap := s.opts.Signer.Current()
	if snap.Bundles == nil {
		return nil, refuse(noSignature, errors.New("there are no bundles yet"))
	}
	chain, err := s.opts.Signer.Issue(caller.ID, key)
	if err != nil {
		return nil, refuse(noSignature, err)
	}
	leaf := chain[0]
	a := &issued{serial: leaf.SerialNumber.Text(16), issuer: leaf.Issuer.CommonName, notAfter: leaf.NotAfter}
	for _, c := range chain {
		a.Chain = append(a.Chain, c.Raw)
	}
	a.RenewAfter = int64(time.Until(ca.HalfLife(leaf)) / time.Second)
	a.Bundles = s.bundles(snap)
	return a, nil
}

func requestedKey(r *http.Request) (crypto.PublicKey, *refusal) {
	req, err := wire.DecodeRequest(r.Body)
	if err != nil {
		return nil, refuse(badRequest, err)
	}
	key, err := ca.ParseRequest(req.CSR)
	if err != nil {
		return nil, refuse(badRequest, err)
	}
	return key, nil
}
