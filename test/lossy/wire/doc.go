// Package wire is two network namespaces and what lies between them: a path that
// delays every packet and loses some.
//
// The path is this process. Each namespace has a TUN device, and what comes out of the
// one is put into the other when its time has come. The kernel's own tool for it,
// netem, is not everywhere (it is a module that small kernels leave out), and behind a
// veth it sees packets before they are cut into segments: it would lose up to 64 KiB at
// a time of TCP, and one packet of QUIC. What comes out of a TUN device without
// offloads is what a network card would send, so that what is lost is one packet of
// either.
package wire
