package ads

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"

	"github.com/outrider-mesh/outrider/proxy/ads/wire"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A session is what is held and wanted, over all streams, and what the present stream
// has still to say. It does no I/O and reads no clock. Its methods may be called from
// any goroutine.
type session struct {
	wake chan struct{} // has room for one: there may be something to send

	mu     sync.Mutex
	held   Set                       // the documents in force
	wanted map[netip.AddrPort]string // the version held; empty: none
	stream                           // of the present one
}

// A stream is what has to be said on one.
type stream struct {
	open    bool
	greeted bool // it was said what is held
	add     map[netip.AddrPort]struct{}
	drop    map[netip.AddrPort]struct{}
	answers []answer
}

// An answer is what becomes of a response.
type answer struct{ kind, nonce, refusal string }

func (s *session) start(held Set) {
	s.wake = make(chan struct{}, 1)
	s.held, s.wanted = held, map[netip.AddrPort]string{}
}

// arouse makes the sender look.
func (s *session) arouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// begin makes a new stream the present one, on which all is to be said again.
func (s *session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = stream{open: true, add: make(map[netip.AddrPort]struct{}, len(s.wanted)), drop: map[netip.AddrPort]struct{}{}}
	for at := range s.wanted {
		s.add[at] = struct{}{}
	}
	s.arouse()
}

// end forgets what was to be said.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = stream{}
}

func (s *session) subscribe(at netip.AddrPort, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted[at] = version
	if s.open {
		s.add[at] = struct{}{}
		delete(s.drop, at)
		s.arouse()
	}
}

func (s *session) unsubscribe(at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, wanted := s.wanted[at]; !wanted {
		return
	}
	delete(s.wanted, at)
	if s.open {
		s.drop[at] = struct{}{} // also if it was not asked for yet: it may have been, earlier
		delete(s.add, at)
		s.arouse()
	}
}

// next returns what is to be sent now. Node is who we are.
func (s *session) next(node push.Node) (all []*wire.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil
	}
	if !s.greeted {
		s.greeted = true
		all = append(all, &wire.Request{
			Node: &node, Type: push.DocumentType, Subscribe: []string{push.Wildcard}, Held: s.held.versions(),
		})
	}
	targets := s.targets()
	for _, a := range s.answers {
		if a.kind == push.DestinationType && targets != nil && targets.Nonce == "" {
			targets.Nonce, targets.Refusal = a.nonce, a.refusal
			continue
		}
		all = append(all, &wire.Request{Type: a.kind, Nonce: a.nonce, Refusal: a.refusal})
	}
	if s.answers = nil; targets != nil {
		all = append(all, targets)
	}
	return all
}

// targets is the request for destinations; nil if there is nothing to ask. It needs
// s.mu.
func (s *session) targets() *wire.Request {
	if len(s.add)+len(s.drop) == 0 {
		return nil
	}
	r := &wire.Request{Type: push.DestinationType, Held: map[string]string{}}
	for at := range s.add {
		name := push.DestinationName(at)
		r.Subscribe = append(r.Subscribe, name)
		if version := s.wanted[at]; version != "" {
			r.Held[name] = version
		}
	}
	for at := range s.drop {
		r.Unsubscribe = append(r.Unsubscribe, push.DestinationName(at))
	}
	clear(s.add)
	clear(s.drop)
	return r
}

var errTalkative = errors.New("the control plane sends more responses than it waits for answers")

// answer notes what became of a response.
func (s *session) answer(r *wire.Response, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil
	}
	if len(s.answers) == maxUnanswered {
		return errTalkative
	}
	a := answer{kind: r.Type, nonce: r.Nonce}
	if err != nil {
		a.refusal = clipped(err.Error())
	}
	s.answers = append(s.answers, a)
	s.arouse()
	return nil
}

// clipped bounds the text of a refusal, which is never empty: that would be consent.
func clipped(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxRefusal)], "\uFFFD")
	if text == "" {
		return "no reason was given"
	}
	return text
}

// documents returns the set that a response leads to.
func (s *session) documents(r *wire.Response) (Set, error) {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	set := make(Set, len(held)+len(r.Resources))
	maps.Copy(set, held)
	for _, name := range r.Removed {
		delete(set, name)
	}
	for _, one := range r.Resources {
		if _, _, _, ok := push.SplitDocumentName(one.Name); !ok {
			return nil, fmt.Errorf("%.80q is not the name of a document", one.Name)
		}
		set[one.Name] = Resource{Version: one.Version, Body: one.Body}
	}
	return set, set.check()
}

// check holds a set to its bounds. One of the documents is no policy: the workload.
func (s Set) check() error {
	if len(s) > push.MaxDocuments+1 {
		return fmt.Errorf("%d documents, more than %d", len(s), push.MaxDocuments)
	}
	var bytes int
	for _, one := range s {
		bytes += len(one.Body)
	}
	if bytes > push.MaxDocumentBytes {
		return fmt.Errorf("%d bytes of documents, more than %d", bytes, push.MaxDocumentBytes)
	}
	return nil
}

// versions are those of all documents, by name.
func (s Set) versions() map[string]string {
	v := make(map[string]string, len(s))
	for name, one := range s {
		v[name] = one.Version
	}
	return v
}

// hold makes a set the one in force.
func (s *session) hold(set Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = set
}

// holdTarget notes the version of a destination, unless nobody wants it any more.
func (s *session) holdTarget(at netip.AddrPort, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, wanted := s.wanted[at]; wanted {
		s.wanted[at] = version
	}
}

// wants tells whether an address is asked for.
func (s *session) wants(at netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, wanted := s.wanted[at]
	return wanted
}
