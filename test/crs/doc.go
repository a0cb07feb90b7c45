// Package crs runs the regression suite of the OWASP Core Rule Set: once against
// package inspect, where every request reaches the rules, and once through a
// sidecar over HTTP, where what is not HTTP does not. What comes out otherwise than
// the suite has it is listed, with what exactly differs and why.
package crs
