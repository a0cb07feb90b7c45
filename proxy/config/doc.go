// Package config is the vocabulary of what a sidecar is told: its own file
// ([Sidecar]) and the policy documents that reach it while it runs
// ([Documents]).
//
// Both are read strictly: every problem is reported at once, with file, line,
// field path and remedy, and nothing that has an error is ever used in part.
// What is questionable but usable is a warning.
//
// The package reads one file, the sidecar's own ([LoadSidecar]); where policy
// documents come from is the business of package feed. Nothing here holds a
// secret: keys are named by path, so every value may be printed.
package config
