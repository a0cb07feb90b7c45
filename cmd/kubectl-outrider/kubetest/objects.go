package kubetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// An object is one that was written down.
type object struct {
	metav1.TypeMeta `json:",inline"`

	Metadata metav1.ObjectMeta `json:"metadata"`

	text json.RawMessage
}

// objects are all of a cluster, each with the path of the list that it is in.
type objects map[string][]object

func parse(text []byte) (objects, error) {
	all := objects{}
	for i, doc := range strings.Split("\n"+string(text), "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		o := object{text: raw}
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		all[o.list()] = append(all[o.list()], o)
	}
	return all, nil
}

// list is the path of the list that an object is in, over all namespaces.
func (o *object) list() string {
	plural := strings.ToLower(o.Kind) + "s"
	if stem, ok := strings.CutSuffix(plural, "ys"); ok {
		plural = stem + "ies"
	}
	if o.APIVersion == "v1" {
		return "/api/v1/" + plural
	}
	return path.Join("/apis", o.APIVersion, plural)
}

// find returns what is at a path: the objects of a list, or the one of a name.
func (all objects) find(at string) (list []object, one *object) {
	namespace, rest := "", at
	if before, after, ok := strings.Cut(at, "/namespaces/"); ok && strings.Contains(after, "/") {
		namespace, after, _ = strings.Cut(after, "/")
		rest = path.Join(before, after)
	}
	if list, ok := all[rest]; ok {
		return inNamespace(list, namespace), nil
	}
	dir, name := path.Split(rest)
	for _, o := range inNamespace(all[path.Clean(dir)], namespace) {
		if o.Metadata.Name == name {
			return nil, &o
		}
	}
	return nil, nil
}

func inNamespace(list []object, namespace string) []object {
	var some []object
	for _, o := range list {
		if namespace == "" || o.Metadata.Namespace == namespace {
			some = append(some, o)
		}
	}
	return some
}

// known tells whether a path is that of a list that may be empty.
func known(at string) bool {
	switch path.Base(at) {
	case "namespaces", "pods", "services", "accesspolicies", "inspectionpolicies", "meshconfigs":
		return true
	}
	return false
}

// answer answers a GET. Lists come in pages, as asked for.
func (all objects) answer(w http.ResponseWriter, r *http.Request) {
	list, one := all.find(r.URL.Path)
	switch {
	case one != nil:
		reply(w, http.StatusOK, one.text)
	case list == nil && !known(r.URL.Path):
		refuse(w, http.StatusNotFound, path.Base(r.URL.Path)+" not found")
	default:
		listed(w, r, list)
	}
}

func listed(w http.ResponseWriter, r *http.Request, list []object) {
	query := r.URL.Query()
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	items := []json.RawMessage{}
	for _, o := range list {
		if selector.Matches(labels.Set(o.Metadata.Labels)) {
			items = append(items, o.text)
		}
	}
	limit, _ := strconv.Atoi(query.Get("limit"))
	from, _ := strconv.Atoi(query.Get("continue"))
	var next string
	items = items[min(from, len(items)):]
	if limit > 0 && limit < len(items) {
		items, next = items[:limit], strconv.Itoa(from+limit)
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]string{"continue": next}, "items": items})
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	reply(w, http.StatusOK, text)
}

func reply(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text)
}

func refuse(w http.ResponseWriter, code int, message string) {
	text, _ := json.Marshal(metav1.Status{Status: metav1.StatusFailure, Message: message, Code: int32(code)})
	reply(w, code, text)
}
