package capture

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// sidecar accepts at the capture ports, shows the connections to s, and counts
// those that are not the sentry's; blind, it shows none.
type sidecar struct {
	mu     sync.Mutex
	others int
}

func (c *sidecar) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.others
}

func accepting(t *testing.T, s *Sentry, blind bool) *sidecar {
	t.Helper()
	c := new(sidecar)
	var loops sync.WaitGroup
	t.Cleanup(loops.Wait) // after the listeners were closed
	for _, addr := range []string{":15006", "127.0.0.1:15001", "[::1]:15001"} {
		l := listen(t, addr)
		loops.Go(func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				if blind || !s.Took(nc) {
					c.mu.Lock()
					c.others++
					c.mu.Unlock()
				}
				nc.Close()
			}
		})
	}
	return c
}

func TestASentrySeesThatTrafficPasses(t *testing.T) {
	machine(t)
	s := NewSentry(apply(t, usual()))
	c := accepting(t, s, false)
	for range 3 {
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if c.count() != 0 {
		t.Errorf("%d of its connections were taken for others", c.count())
	}
	nc, err := net.Dial("tcp", "10.77.0.1:80") // another's
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Read(make([]byte, 1)); err == nil || c.count() != 1 {
		t.Errorf("%d connections of others, want 1", c.count())
	}
	if len(s.expected) != 0 || s.waiting.Load() != 0 {
		t.Errorf("it still expects %v", s.expected)
	}
}

func TestASentrySeesThatTrafficDoesNotPass(t *testing.T) {
	cases := []struct {
		name, want string
		prepare    func(t *testing.T)
		blind      bool
	}{
		{"the rules are gone", "are the rules installed?", func(*testing.T) { Remove() }, false},
		{"somebody else has the ports", "somebody else took it", func(*testing.T) {}, true},
	}
	if len(cases) < 2 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			netns.Command(t, "ip -6 addr flush dev eth0") // one family suffices
			s := NewSentry(apply(t, usual()))
			c.prepare(t)
			accepting(t, s, c.blind)
			err := s.Check(t.Context())
			if !errors.Is(err, ErrBypassed) {
				t.Fatal(err)
			}
			for _, want := range []string{"outbound IPv4", "inbound IPv4", c.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q in it", err, want)
				}
			}
			if len(s.expected) != 0 || s.waiting.Load() != 0 {
				t.Errorf("it still expects %v", s.expected)
			}
		})
	}
}

func TestASentryWithoutAnAddressSaysNothing(t *testing.T) {
	netns.Enter(t)
	if err := NewSentry(plan(t, usual())).Check(t.Context()); err != nil {
		t.Error(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	var none *Sentry
	if none.Took(a) {
		t.Error("there is no sentry")
	}
}
