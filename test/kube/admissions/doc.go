// Package admissions measures what a webhook adds to the creation of pods: the same pod
// is created where the API server asks the webhook and where it does not, in blocks
// that take turns, so that what else the machine does meets both.
package admissions
