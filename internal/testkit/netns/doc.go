// Package netns gives tests network namespaces of their own, in which they may
// change addresses, routes and rules of redirection. Only tests import it, and
// only on Linux is there anything in it.
package netns
