//go:build !race

package crs

const raceDetector = false
