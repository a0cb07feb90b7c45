package v1alpha1

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject implements [runtime.Object].
func (p *AccessPolicy) DeepCopyObject() runtime.Object { return deepCopy(p) }

// DeepCopyObject implements [runtime.Object].
func (l *AccessPolicyList) DeepCopyObject() runtime.Object { return deepCopy(l) }

// DeepCopyObject implements [runtime.Object].
func (p *InspectionPolicy) DeepCopyObject() runtime.Object { return deepCopy(p) }

// DeepCopyObject implements [runtime.Object].
func (l *InspectionPolicyList) DeepCopyObject() runtime.Object { return deepCopy(l) }

// DeepCopyObject implements [runtime.Object].
func (m *MeshConfig) DeepCopyObject() runtime.Object { return deepCopy(m) }

// DeepCopyObject implements [runtime.Object].
func (l *MeshConfigList) DeepCopyObject() runtime.Object { return deepCopy(l) }

// deepCopy copies by reflection: the domain types are of packages that know
// nothing of Kubernetes, and so have no copying methods to generate code upon.
// Policies are copied when one changes, never for a request.
func deepCopy[T any](in *T) *T {
	return copied(reflect.ValueOf(in)).Interface().(*T)
}

// copied copies what pointers, slices and maps refer to. A struct without
// exported fields, such as a time, is immutable and copied as it is.
func copied(in reflect.Value) reflect.Value {
	switch in.Kind() {
	case reflect.Pointer:
		if in.IsNil() {
			return in
		}
		out := reflect.New(in.Type().Elem())
		out.Elem().Set(copied(in.Elem()))
		return out
	case reflect.Slice:
		return copiedSlice(in)
	case reflect.Map:
		return copiedMap(in)
	case reflect.Struct:
		out := reflect.New(in.Type()).Elem()
		out.Set(in)
		for i := range in.NumField() {
			if in.Type().Field(i).IsExported() {
				out.Field(i).Set(copied(in.Field(i)))
			}
		}
		return out
	default:
		return in
	}
}

func copiedSlice(in reflect.Value) reflect.Value {
	if in.IsNil() {
		return in
	}
	out := reflect.MakeSlice(in.Type(), in.Len(), in.Len())
	for i := range in.Len() {
		out.Index(i).Set(copied(in.Index(i)))
	}
	return out
}

func copiedMap(in reflect.Value) reflect.Value {
	if in.IsNil() {
		return in
	}
	out := reflect.MakeMapWithSize(in.Type(), in.Len())
	for _, key := range in.MapKeys() {
		out.SetMapIndex(key, copied(in.MapIndex(key)))
	}
	return out
}
