// Package arch holds no code. Its tests keep the promises of
// docs/architecture.md: which package may import which and why, that everything
// exported is documented, that functions stay short, that nothing is set up
// behind the reader's back, and that the sidecar stays small.
//
// Each test counts what it looked at and fails under a stated minimum, and the
// ones that look for something forbidden first prove that they find it.
package arch
