package issue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A Reviewer asks the cluster whose a token is.
type Reviewer interface {
	// Review returns what the cluster says of the token. An error means that
	// the cluster could not say; that the token is bad is a verdict.
	Review(ctx context.Context, token string) (Verdict, error)
}

// A Verdict is what a TokenReview answers.
type Verdict struct {
	// Authenticated tells whether the token is a good one.
	Authenticated bool
	// Audiences are those of the token among which we asked for.
	Audiences []string
	// Username is "system:serviceaccount:<namespace>:<name>" for pods.
	Username string
	// Pod, PodUID and Node are what the token is bound to; empty where it is
	// not.
	Pod, PodUID, Node string
	// Why is what the cluster says about a bad token; for the log.
	Why string
}

// A Caller is a pod that has been authenticated.
type Caller struct {
	// ID is what it may be.
	ID spiffeid.ID
	// Namespace and ServiceAccount are what ID was made of.
	Namespace, ServiceAccount string
	// Pod, PodUID and Node are for the log; PodUID is what is rate limited.
	Pod, PodUID, Node string
}

const userPrefix = "system:serviceaccount:"

// callerOf decides whom a verdict makes the caller. Nothing in it is believed
// because it came from the API server: what is missing is a refusal.
func (s *Server) callerOf(v Verdict) (Caller, error) {
	switch {
	case !v.Authenticated:
		return Caller{}, fmt.Errorf("the cluster does not know the token: %q", v.Why)
	case !slices.Contains(v.Audiences, s.opts.Audience):
		// An API server that doesn't check audiences leaves them out.
		return Caller{}, fmt.Errorf("the token is for %q, not for %q", v.Audiences, s.opts.Audience)
	case v.Pod == "" || v.PodUID == "":
		// Tokens of the old kind, in Secrets, never expire and belong to
		// nobody in particular.
		return Caller{}, fmt.Errorf("the token of %q is not bound to a pod", v.Username)
	}
	rest, ok := strings.CutPrefix(v.Username, userPrefix)
	namespace, account, found := strings.Cut(rest, ":")
	if !ok || !found || !isName(namespace, 63) || strings.Contains(namespace, ".") || !isName(account, 253) {
		return Caller{}, fmt.Errorf("%q is not a service account", v.Username)
	}
	c := Caller{Namespace: namespace, ServiceAccount: account, Pod: v.Pod, PodUID: v.PodUID, Node: v.Node}
	var err error
	if c.ID, err = spiffeid.FromSegments(s.opts.Signer.TrustDomain(), "ns", namespace, "sa", account); err != nil {
		return Caller{}, fmt.Errorf("the service account %q makes no identity: %w", v.Username, err)
	}
	return c, nil
}

// isName tells whether name is a lower-case RFC 1123 subdomain, which is what
// Kubernetes lets service accounts be called; namespaces are single labels.
func isName(name string, most int) bool {
	if name == "" || len(name) > most {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "-") != label || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// permitted tells whether the caller may be given its identity.
func (s *Server) permitted(c Caller) error {
	switch {
	case slices.Contains(s.opts.Reserved, c.ID):
		return fmt.Errorf("%q is the control plane's own", c.ID)
	case slices.Contains(s.opts.Excluded, c.Namespace):
		return fmt.Errorf("the namespace %q is not part of the mesh", c.Namespace)
	case s.opts.Permit != nil:
		return s.opts.Permit(c)
	}
	return nil
}

// bearer returns the token of an Authorization header (RFC 6750 §2.1).
func bearer(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	switch {
	case header == "":
		return "", errors.New("no Authorization")
	case !ok || !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", errors.New("the Authorization is no bearer token")
	case len(token) > maxToken:
		return "", fmt.Errorf("a token of more than %d bytes", maxToken)
	case strings.Trim(token, tokenBytes) != "":
		return "", errors.New("the token has bytes that no token has")
	}
	return token, nil
}

// tokenBytes are those of b64token in RFC 6750.
const tokenBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="
