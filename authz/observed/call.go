// Package observed reads what sidecars have decided: the records of their access
// log, as docs/access-log.md has them.
//
// A log is another program's text and may be damaged, so what is no record is
// counted and passed over, and what a record leaves out is not made up. Equal
// calls become one, with a count: a log of a million lines has as many calls as
// there are callers and routes. Everything is bounded.
package observed

import (
	"net/netip"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
)

// A Verdict is what was decided about a call.
type Verdict uint8

// The verdicts.
const (
	// Undecided: it was refused before any policy was asked, as plaintext is.
	Undecided Verdict = iota
	Allowed
	Denied
)

// String is the word for people.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allow"
	case Denied:
		return "deny"
	case Undecided:
	}
	return "undecided"
}

// A Call is one that a sidecar took, as far as its log tells. It is comparable.
type Call struct {
	// Peer is the verified caller; zero for plaintext.
	Peer   spiffeid.ID
	Source netip.Addr
	// Workload is who was called; zero where the log doesn't have it.
	Workload spiffeid.ID
	Listener string
	Port     uint16
	// HTTP without a Method is a connection that was refused before its first
	// request.
	HTTP               bool
	Method, Host, Path string

	Verdict Verdict
	// Policy and Rule decided; empty and -1 when none did.
	Policy string
	Rule   int
	// Limited tells that it was denied because a rule's limit was used up.
	Limited bool
	// Reason is why the sidecar refused or cut it short; empty when it did not.
	Reason string
	// Attack tells that inspection found one.
	Attack bool
	// Missing tells that the workload answered that it has no such thing: 404,
	// 405, or 501.
	Missing bool
}

// Request is what policies are asked about the call. A log has no headers, so
// they are not known.
func (c *Call) Request() *authz.Request {
	r := &authz.Request{
		Peer: c.Peer, Source: c.Source, Port: c.Port, Listener: c.Listener,
		HTTP: c.HTTP, Method: c.Method, Host: c.Host, Path: c.Path,
	}
	return r
}

// A Tally is a call and how often it was seen.
type Tally struct {
	Call
	Hits        int
	First, Last time.Time
	// Example is the id of one of the decisions.
	Example string

	days map[int64]struct{} // since 1970, UTC
}

// Days is on how many days the call was seen, in UTC.
func (t *Tally) Days() int { return len(t.days) }

// DaySet are those days, as numbers since 1970. It must not be changed.
func (t *Tally) DaySet() map[int64]struct{} { return t.days }

// A Log is what was read of one or more files.
type Log struct {
	// MaxCalls bounds how many different calls are told apart; 0 means 200,000.
	MaxCalls int
	// Calls are those to workloads, in the order in which they were first seen.
	Calls []*Tally
	// First and Last are the times of the earliest and the latest of them: the
	// observation window.
	First, Last time.Time
	// Records is how many lines were records of calls to workloads.
	Records int
	// Outbound is how many were of calls that the workload made.
	Outbound int
	// Cut is how many were left out because the log had shortened what policies
	// look at.
	Cut int
	// Damaged is how many lines were no records, FirstDamaged where the first is.
	Damaged      int
	FirstDamaged string
	// Workloads are who was called.
	Workloads []spiffeid.ID

	index map[Call]*Tally
}
