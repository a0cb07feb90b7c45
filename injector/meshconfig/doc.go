// Package meshconfig follows the one MeshConfig of the cluster. What it says holds
// from the moment it is read; one that is not valid changes nothing, and its status
// says why. Without any the defaults hold, which are the strict ones.
//
// It is read by the reader of the sidecars, so that the control plane and they never
// disagree about what a document means.
package meshconfig
