package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// load is customers who call without a pause.
type load struct {
	done, failed atomic.Int64
	quit         chan struct{}
	ended        sync.WaitGroup

	mu    sync.Mutex
	first string // failure
}

func (s *scene) startLoad(ctx context.Context) *load {
	l := &load{quit: make(chan struct{})}
	for range callers {
		l.ended.Go(func() { l.customer(ctx, s) })
	}
	return l
}

// stop lets the calls under way end, which count like all others.
func (l *load) stop() {
	close(l.quit)
	l.ended.Wait()
}

func (l *load) customer(ctx context.Context, s *scene) {
	for {
		select {
		case <-l.quit:
			return
		case <-ctx.Done():
			return
		default:
		}
		got, _, err := s.buy(ctx, "teapot")
		if problem := s.misserved(got, err); problem != "" {
			l.fail(problem)
		}
		l.done.Add(1)
	}
}

// misserved says what is wrong with an answer that should be one to an allowed
// call; nothing if it is one.
func (s *scene) misserved(got *reply, err error) string {
	if err != nil {
		return err.Error()
	}
	if got.status != http.StatusOK {
		return fmt.Sprintf("%d %s", got.status, got.text())
	}
	a := new(answer)
	if err := json.Unmarshal(got.body, a); err != nil {
		return err.Error()
	}
	atPayments := nextOf(a.Next)
	if atPayments == nil || a.Next.Caller != s.storefront.id.String() || atPayments.Caller != s.checkout.id.String() {
		return "wrong callers: " + got.text()
	}
	return ""
}

func (l *load) fail(problem string) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = problem
	}
}

func (l *load) problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
