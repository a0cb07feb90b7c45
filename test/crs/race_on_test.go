//go:build race

package crs

// raceDetector is on: it makes the rules ten times as slow and has nothing to find in
// requests that come one after the other.
const raceDetector = true
