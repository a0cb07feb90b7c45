//go:build race

package e2e

// raceDetector tells that everything costs several times as much.
const raceDetector = true
