package mutate

import (
	"path"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// join adds what the sidecar needs of the control plane: where its identity and its
// policies come from. It is the only place that knows the names of these fields.
func (m Mesh) join(tree map[string]any) {
	spec, _ := tree["spec"].(map[string]any)
	if id := m.identity(); id.Provider == config.ProviderWorkloadAPI {
		spec["identity"] = map[string]any{"workloadAPI": map[string]any{"socket": "unix://" + path.Join(workloadDir, id.Socket)}}
	} else {
		spec["identity"] = map[string]any{"meshCA": map[string]any{
			"address": m.ControlPlane, "server": m.ControlPlaneID,
			"token": path.Join(tokenDir, tokenFile), "trustAnchors": path.Join(trustDir, trustFile),
		}}
	}
	spec["policies"] = map[string]any{"controlPlane": map[string]any{
		"address": or(m.Push, PushAddress(m.namespace())), "spiffeID": m.ControlPlaneID, "cache": cacheDir,
	}}
}
