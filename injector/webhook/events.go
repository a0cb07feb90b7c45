package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// component is who the Events are from.
const component = "outrider-injector"

// ownerKinds are those whose objects are looked up before an Event is written on one.
var ownerKinds = [...]string{"DaemonSet", "Job", "ReplicaSet", "StatefulSet"}

// Events writes notices as Events on the pods' owners: a pod that is refused never
// exists, so there is nothing else to write one on.
type Events struct {
	client  kubernetes.Interface
	metrics *Metrics
	log     *slog.Logger
	queue   chan Notice
	seen    map[string]bool // Run alone uses it
}

// NewEvents returns a writer that writes while [Events.Run] runs.
func NewEvents(client kubernetes.Interface, m *Metrics, log *slog.Logger) *Events {
	return &Events{client: client, metrics: m, log: log, queue: make(chan Notice, maxEvents), seen: map[string]bool{}}
}

// Notify takes a notice, or drops it when too many wait.
func (e *Events) Notify(n Notice) {
	if n.Owner == nil || !slices.Contains(ownerKinds[:], n.Owner.Kind) {
		return
	}
	select {
	case e.queue <- n:
	default:
		e.metrics.dropped.Inc()
	}
}

// Run writes until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-e.queue:
			if err := e.write(ctx, n); err != nil && ctx.Err() == nil {
				e.metrics.dropped.Inc()
				e.log.Warn("an Event was not written", "namespace", n.Namespace, "owner", n.Owner.Name, "err", err)
			}
		}
	}
}

// write writes each Event once: the thousand pods of a Deployment are one.
func (e *Events) write(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	event := n.event(*n.Owner, time.Now())
	if e.seen[event.Name] {
		return nil
	}
	owner, err := e.owner(ctx, n.Namespace, *n.Owner)
	if err != nil {
		return err
	}
	event = n.event(owner, time.Now())
	_, err = e.client.CoreV1().Events(n.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if len(e.seen) >= maxRemembered {
		clear(e.seen)
	}
	e.seen[n.event(*n.Owner, time.Now()).Name] = true
	return nil
}

// owner is what people know: the Deployment rather than its ReplicaSet, the CronJob
// rather than its Job. It must be there: whoever reaches the webhook could name any.
func (e *Events) owner(ctx context.Context, namespace string, of metav1.OwnerReference) (metav1.OwnerReference, error) {
	var meta metav1.Object
	var err error
	switch of.Kind {
	case "ReplicaSet":
		meta, err = e.client.AppsV1().ReplicaSets(namespace).Get(ctx, of.Name, metav1.GetOptions{})
	case "Job":
		meta, err = e.client.BatchV1().Jobs(namespace).Get(ctx, of.Name, metav1.GetOptions{})
	case "StatefulSet":
		meta, err = e.client.AppsV1().StatefulSets(namespace).Get(ctx, of.Name, metav1.GetOptions{})
	case "DaemonSet":
		meta, err = e.client.AppsV1().DaemonSets(namespace).Get(ctx, of.Name, metav1.GetOptions{})
	default:
		return of, fmt.Errorf("owners of kind %q are not looked up", of.Kind)
	}
	switch {
	case err != nil:
		return of, fmt.Errorf("look up the owner: %w", err)
	case meta.GetUID() != of.UID:
		return of, fmt.Errorf("%s %s is another one by now", of.Kind, of.Name)
	}
	if parent := metav1.GetControllerOf(meta); parent != nil {
		return *parent, nil
	}
	return of, nil
}

// event has a name made of what it says, so that it exists once even if every
// replica writes it.
func (n Notice) event(on metav1.OwnerReference, at time.Time) *corev1.Event {
	kind, reason := corev1.EventTypeNormal, "Injected"
	switch n.Outcome.Verdict {
	case mutate.Refuse:
		kind, reason = corev1.EventTypeWarning, "InjectionRefused"
	case mutate.Skip:
		kind, reason = corev1.EventTypeWarning, "InjectionSkipped"
	case mutate.Inject:
	}
	message := clipped(strings.Join(slices.Concat([]string{n.Outcome.String()}, n.Outcome.Remarks), "\n"), maxMessage)
	sum := sha256.Sum256([]byte(string(on.UID) + "\x00" + reason + "\x00" + message))
	now := metav1.NewTime(at)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: n.Namespace,
			// Names of objects have 253 bytes at most.
			Name: on.Name[:min(len(on.Name), 200)] + "." + hex.EncodeToString(sum[:8]),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: on.APIVersion, Kind: on.Kind, Namespace: n.Namespace, Name: on.Name, UID: on.UID,
		},
		Type: kind, Reason: reason, Message: message, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: component}, ReportingController: component,
	}
}
