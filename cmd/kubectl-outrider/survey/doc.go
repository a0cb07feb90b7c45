// Package survey reads what is to be known of a mesh in a cluster: the control plane,
// pods, services and policies from the API server, and from each sidecar what it says
// of itself. What can't be read is noted and doesn't keep the rest from being read:
// whoever asks may not be allowed everything.
//
// A survey is data. What is wrong in it is found by package findings.
package survey
