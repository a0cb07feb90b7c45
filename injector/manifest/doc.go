// Package manifest puts sidecars into streams of YAML documents, and takes them out
// again, by the same function as the webhook. Documents without pods, and pods that
// nothing is done to, stay as they are, byte for byte. One that is changed is written
// anew, which costs its comments.
package manifest
