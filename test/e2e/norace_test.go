//go:build !race

package e2e

// raceDetector: see the other file.
const raceDetector = false
