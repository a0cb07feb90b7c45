package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// interval is how often the Secret is read, and by who leads the webhook's
	// configuration: less than ripening, so that every replica presents a
	// certificate whose authority is known by then.
	interval = 30 * time.Second
	// impatience is the same while there is no certificate yet.
	impatience = time.Second
	// requestTimeout bounds one request to the API server.
	requestTimeout = 10 * time.Second
)

// Options are what a [Keeper] is made of. All are required, except where it says
// otherwise.
type Options struct {
	Client kubernetes.Interface
	// Namespace and Secret are where the certificate is. The Secret is there
	// already, if without data: nobody needs to be allowed to create one.
	Namespace, Secret string
	// Webhook is the name of the MutatingWebhookConfiguration.
	Webhook string
	// Names are the DNS names by which the API server calls.
	Names []string
	// Log is told of changes; nil: nobody is.
	Log *slog.Logger
}

// A Keeper keeps the webhook's certificate.
type Keeper struct {
	opts    Options
	log     *slog.Logger
	current atomic.Pointer[pair]
	ready   chan struct{} // closed with the first certificate
}

// New returns a keeper without a certificate yet.
func New(opts Options) (*Keeper, error) {
	if opts.Client == nil || opts.Namespace == "" || opts.Secret == "" || opts.Webhook == "" || len(opts.Names) == 0 {
		return nil, errors.New("the webhook's certificate: not all options are set")
	}
	k := &Keeper{opts: opts, log: opts.Log, ready: make(chan struct{})}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	return k, nil
}

// Ready is closed once there is a certificate.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Expiry is when the certificate in use expires; zero without one.
func (k *Keeper) Expiry() time.Time {
	if p := k.current.Load(); p != nil {
		return p.leaf.NotAfter
	}
	return time.Time{}
}

// GetCertificate is for [tls.Config].
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := k.current.Load()
	if p == nil {
		return nil, errors.New("there is no certificate for the webhook yet")
	}
	return &p.serverCredential, nil
}

// Follow reads the Secret until ctx ends. Every replica does. What can't be read is
// logged, and the certificate before stays.
func (k *Keeper) Follow(ctx context.Context) error {
	return k.repeat(ctx, "read the webhook's certificate", func(ctx context.Context) error {
		s, _, err := k.load(ctx)
		if err != nil || s.current == nil {
			return err
		}
		k.present(s.current)
		return nil
	})
}

// Lead writes the Secret and the webhook's configuration until ctx ends. Only the
// replica that leads does.
func (k *Keeper) Lead(ctx context.Context) error {
	return k.repeat(ctx, "keep the webhook's certificate", k.tend)
}

// repeat works at intervals, and sooner after an error or without a certificate.
func (k *Keeper) repeat(ctx context.Context, what string, work func(context.Context) error) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		err := work(bounded)
		cancel()
		wait := interval
		if err != nil && ctx.Err() == nil {
			k.log.Error(what, "err", err)
		}
		if err != nil || k.current.Load() == nil {
			wait = impatience
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

func (k *Keeper) present(p *pair) {
	old := k.current.Load()
	if old != nil && bytes.Equal(old.certPEM, p.certPEM) {
		return
	}
	k.current.Store(p)
	k.log.Info("the webhook has a certificate", "serial", p.leaf.SerialNumber.Text(16), "expires", p.leaf.NotAfter)
	select {
	case <-k.ready:
	default:
		close(k.ready) // Follow alone comes here
	}
}

// load reads the Secret, and returns how to write it: the API server refuses when
// somebody else has in the meantime.
func (k *Keeper) load(ctx context.Context) (state, func(context.Context, state) error, error) {
	secrets := k.opts.Client.CoreV1().Secrets(k.opts.Namespace)
	secret, err := secrets.Get(ctx, k.opts.Secret, metav1.GetOptions{})
	if err != nil {
		return state{}, nil, fmt.Errorf("read the Secret %s/%s: %w", k.opts.Namespace, k.opts.Secret, err)
	}
	save := func(ctx context.Context, s state) error {
		secret = secret.DeepCopy()
		secret.Data = s.encode()
		if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write the Secret %s/%s: %w", k.opts.Namespace, k.opts.Secret, err)
		}
		return nil
	}
	s, err := decode(secret.Data)
	return s, save, err
}

// tend is one round of who leads.
func (k *Keeper) tend(ctx context.Context) error {
	s, save, err := k.load(ctx)
	if save == nil {
		return err
	}
	if err != nil {
		// Whoever broke it can't be asked; the authorities that were in it are
		// lost with it.
		k.log.Error("the webhook's certificate can't be read and is made anew", "err", err)
	}
	next, err := s.step(k.opts.Names, time.Now())
	if err != nil {
		return err
	}
	// The configuration first: nothing is presented that is not trusted yet.
	if err := k.trust(ctx, next.bundle()); err != nil {
		return err
	}
	if maps.EqualFunc(s.encode(), next.encode(), bytes.Equal) {
		return nil
	}
	return save(ctx, next)
}
