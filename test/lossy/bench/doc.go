// Package bench compares the two ways of the mesh hop, TCP and QUIC, on a path with a
// delay and with losses: it starts two sidecars in two network namespaces that a
// [wire.Wire] joins, loads both ways in turns, and reports them side by side.
package bench

import "io"

// Streams are where the benchmark writes: figures to Out, progress to Err.
type Streams struct{ Out, Err io.Writer }
