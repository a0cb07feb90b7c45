// Package capture tests transparent capture as its users meet it: unmodified
// clients and servers in network namespaces that the test makes itself, whose
// traffic the installed binary redirects to sidecars running as their own user.
//
// It needs root and Linux, and the programs that .ci/run installs. Where those
// are missing its tests are skipped, which the summary of the tests lists; in
// continuous integration that is a failure.
package capture
