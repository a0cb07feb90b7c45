// Package mutate puts a sidecar into a pod, and takes it out again. It is a pure
// function of the pod, its namespace and the installation: the webhook and kubectl
// use the same one, so that what is tried offline is what happens in the cluster.
//
// A pod that is injected has two containers more. outrider-init redirects traffic
// and ends; it alone is root, with NET_ADMIN and nothing else. outrider is the
// sidecar, an init container that keeps running (restartPolicy Always, Kubernetes
// 1.29): it starts before the application's own containers, the init containers
// included, and ends after them, so that a Job completes. Probes over the network
// come without an identity and would be refused, so they are sent to the sidecar,
// which asks the application in the kubelet's stead.
//
// What was done is written into an annotation, from which [Remove] restores the pod
// as it was. [Mesh.Inject] begins with that, so a pod that is injected again, as the
// API server does when a later webhook has changed it, is not injected twice.
package mutate
