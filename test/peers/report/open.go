package report

// Open is an open loop.
type Open struct{}

// Inspection is the third part.
type Inspection struct{}
