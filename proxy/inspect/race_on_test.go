//go:build race

package inspect

// raced tells that the race detector is on, under which rules take ten times as long.
const raced = true
