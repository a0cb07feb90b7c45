//go:build !race

package crs

const raceDetector = false

// cpuMillis is the default.
const cpuMillis = 0
