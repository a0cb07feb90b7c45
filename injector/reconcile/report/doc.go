// Package report writes into the status of policies what has become of them: whether
// they are accepted, what is questionable in them, and how many of the sidecars that
// they concern have them in force.
//
// How many is the sum over the replicas of the control plane, which the one that leads
// asks; one that does not answer is named, and its sidecars count as not having it. A
// status is written when it says something new, some of them a second at most, and by
// the leader only. What a write brings about is no change of a document, so it never
// leads to another.
package report
