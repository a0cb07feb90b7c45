// Package leader lets one replica of the control plane do what only one may: write
// into the cluster. What the others need they read.
//
// Two replicas can take themselves for the leader for a moment, when the clock of
// one runs wrong. So whoever writes does so on top of what was read (resource
// versions), and a second writer is refused.
package leader

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// As Kubernetes' own components: a leader that died is replaced within 15 s, and one
// that can't reach the API server gives up before that.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Options say where the election is held. All are required.
type Options struct {
	Client kubernetes.Interface
	// Namespace and Lease are where; the Lease is there already.
	Namespace, Lease string
	// Identity is the name of this replica.
	Identity string
	Log      *slog.Logger
}

// Run takes part in the election until ctx ends. While this replica leads, work runs,
// with a context that ends with the leadership; it is waited for.
func Run(ctx context.Context, opts Options, work func(context.Context)) error {
	for ctx.Err() == nil {
		if err := term(ctx, opts, work); err != nil {
			return err
		}
	}
	return nil
}

// term is one candidacy, up to the loss of the leadership. The library starts a
// goroutine for the work and doesn't wait for it, so that one only hands over. Work
// that ends by itself gives the leadership up: somebody has to do it.
func term(ctx context.Context, opts Options, work func(context.Context)) error {
	ctx, resign := context.WithCancel(ctx)
	defer resign()
	elected, over := make(chan context.Context), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: opts.Namespace, Name: opts.Lease},
			Client:     opts.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: opts.Identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				select {
				case elected <- ctx:
				case <-over:
				}
			},
			OnStoppedLeading: func() {},
			OnNewLeader:      func(name string) { opts.Log.Info("leader", "name", name, "us", name == opts.Identity) },
		},
	})
	if err != nil {
		return fmt.Errorf("elect a leader: %w", err)
	}
	worked := make(chan struct{})
	go func() { //nolint:contextcheck // the library's context descends from ctx
		defer close(worked)
		select {
		case leading := <-elected:
			work(leading)
			resign()
		case <-over:
		}
	}()
	elector.Run(ctx)
	close(over)
	<-worked
	return nil
}
