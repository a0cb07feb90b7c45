// Package crs runs the regression suite of the OWASP Core Rule Set: once against
// package inspect, where every request reaches the rules, and once through a
// sidecar over HTTP, where what is not HTTP does not.
package crs
