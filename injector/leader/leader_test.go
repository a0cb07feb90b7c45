package leader_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrider-mesh/outrider/injector/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A Lease without a holder, as the manifests have it: nobody needs to be allowed to
// create one.
func lease() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "outrider-system", Name: "outrider-injector"}}
}

func TestOneLeadsAndTheNextTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(lease())
		var leading, terms atomic.Int32
		start := func(name string) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- leader.Run(ctx, leader.Options{
					Client: client, Namespace: "outrider-system", Lease: "outrider-injector", Identity: name, Log: slog.New(slog.DiscardHandler),
				}, func(ctx context.Context) {
					if leading.Add(1) > 1 {
						t.Error("two lead")
					}
					terms.Add(1)
					<-ctx.Done()
					leading.Add(-1)
				})
			}()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		stopA := start("a")
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble: no time passes
		stopB := start("b")
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble: no time passes
		if terms.Load() != 1 || leading.Load() != 1 {
			t.Errorf("%d terms, %d lead", terms.Load(), leading.Load())
		}
		stopA()
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble: no time passes
		if terms.Load() != 2 || leading.Load() != 1 {
			t.Errorf("after the first has gone: %d terms, %d lead", terms.Load(), leading.Load())
		}
		stopB()
		if leading.Load() != 0 {
			t.Error("the work of one that has stopped goes on")
		}
	})
}

func TestWorkThatEndsGivesTheLeadershipUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(lease())
		ctx, cancel := context.WithCancel(t.Context())
		var terms int
		err := leader.Run(ctx, leader.Options{
			Client: client, Namespace: "outrider-system", Lease: "outrider-injector", Identity: "a", Log: slog.New(slog.DiscardHandler),
		}, func(context.Context) {
			if terms++; terms == 3 {
				cancel()
			}
		})
		if err != nil || terms != 3 {
			t.Errorf("%d terms, %v", terms, err)
		}
	})
}
