// Package kube is what the issuer needs of a cluster: who is behind a token, the
// Secret that the replicas keep the CA in, and the ConfigMap in every namespace by
// which a sidecar knows its issuer.
//
// It needs these rights and no more, all of them but the last two for objects of
// one name in the control plane's own namespace:
//
//	secrets         get, list, watch, update   outrider-ca
//	secrets         get, list, watch           outrider-external-ca
//	tokenreviews    create                     in the cluster
//	namespaces      list, watch                in the cluster
//	configmaps      list, watch, create,       in every namespace, outrider-trust
//	                update
package kube
