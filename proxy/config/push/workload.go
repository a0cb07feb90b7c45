package push

import (
	"encoding/json"
	"fmt"
)

// A Workload is the asker as the API server knows it. It comes with its
// documents, so that policies follow a label that is changed while the pod lives.
type Workload struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// WorkloadName is the name of the resource among the documents.
func (w Workload) WorkloadName() string { return DocumentName(KindWorkload, w.Namespace, w.Name) }

// Encode is the workload as it is sent, the same bytes for the same workload.
func (w Workload) Encode() []byte {
	text, err := json.Marshal(w)
	if err != nil {
		return []byte("{}") // strings can't fail
	}
	return text
}

// ParseWorkload undoes [Workload.Encode].
func ParseWorkload(text []byte) (Workload, error) {
	var w Workload
	if err := json.Unmarshal(text, &w); err != nil {
		return Workload{}, fmt.Errorf("workload: %w", err)
	}
	if !name.MatchString(w.Namespace) || !name.MatchString(w.Name) {
		return Workload{}, fmt.Errorf("workload: namespace %.80q, name %.80q are no names", w.Namespace, w.Name)
	}
	return w, nil
}
