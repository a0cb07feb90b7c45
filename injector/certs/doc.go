// Package certs keeps the certificate with which the webhook presents itself to the
// API server, so that an installation needs nobody else to make one.
//
// Each certificate has an authority of its own, whose key is thrown away once it has
// signed: whoever reads the Secret can be the webhook, and nothing else. Before a
// certificate is used, its authority has been in the webhook's configuration for a
// while, and that of the one before stays there until it expires. So replicas and
// API servers may be late, each in its own time, and calls go on.
//
// Every replica reads the Secret; the one that leads writes it, and the webhook's
// configuration.
package certs
