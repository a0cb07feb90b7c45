//go:build !race

package inspect

// raced tells that the race detector is on.
const raced = false
