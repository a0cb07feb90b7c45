package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// An operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// trust writes the authorities into the webhook's configuration, where they differ.
func (k *Keeper) trust(ctx context.Context, bundle []byte) error {
	configurations := k.opts.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	c, err := configurations.Get(ctx, k.opts.Webhook, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the webhook's configuration %s: %w", k.opts.Webhook, err)
	}
	var ops []operation
	for i, w := range c.Webhooks {
		if bytes.Equal(w.ClientConfig.CABundle, bundle) {
			continue
		}
		at := fmt.Sprintf("/webhooks/%d", i)
		// The list may have changed since it was read.
		ops = append(ops, operation{"test", at + "/name", w.Name}, operation{"add", at + "/clientConfig/caBundle", bundle})
	}
	if len(ops) == 0 {
		return nil
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		return fmt.Errorf("write a patch: %w", err)
	}
	if _, err := configurations.Patch(ctx, k.opts.Webhook, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write the webhook's authorities into %s: %w", k.opts.Webhook, err)
	}
	k.log.Info("the webhook's authorities are written", "configuration", k.opts.Webhook)
	return nil
}
