package accesslog

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Bounds in bytes of the strings in a record, before escaping. They keep the
// record of the longest request a peer may send at a few KiB; what is longer
// ends in an ellipsis.
const (
	maxPath   = 1024
	maxHost   = 256
	maxMethod = 32
	maxID     = 256 // a SPIFFE ID may have 2048 bytes, and has well below 100
	maxName   = 256 // names from configuration and policies
	maxDetail = 512
	maxTrace  = 64
	maxRules  = 48 // count, not bytes; no test of the core rule set has more than 32 at paranoia 4
	maxPlaces = 16 // count, of places where rules matched
)

// A recorder turns flows into records. The order and the names of the members
// are documented in docs/access-log.md.
type recorder struct {
	ids   *IDs
	clock clock
	query bool
}

func (r *recorder) request(dst []byte, req *flow.Request) []byte {
	o := object{buf: dst}
	conn := req.Conn
	if conn == nil {
		conn = &flow.Connection{} // a record with gaps beats none
	}
	r.head(&o, "request", req.Started, conn, req.DecisionID)
	o.address("upstream", req.Upstream)
	o.text("method", req.Method, maxMethod)
	o.text("host", req.Host, maxHost)
	o.text("path", pathOf(req), maxPath)
	if r.query {
		o.text("query", req.Query, maxPath)
	}
	protocol(&o, conn)
	if req.Status != 0 {
		o.number("status", int64(req.Status))
	}
	o.number("received_bytes", req.Received)
	o.number("sent_bytes", req.Sent)
	refusal(&o, req.Refusal)
	o.yes("retried", req.Retried)
	o.yes("upgraded", req.Upgraded)
	if req.Stream != flow.NoStream {
		o.word("stream", req.Stream.String())
	}
	o.text("trace", req.Trace, maxTrace)
	decision(&o, "decision", req.Decision)
	shadow(&o, req.Decision, req.Shadow)
	inspection(&o, &req.Inspection)
	times(&o, &req.Times)
	o.close()
	return append(o.buf, '\n')
}

func (r *recorder) connection(dst []byte, conn *flow.Connection) []byte {
	o := object{buf: dst}
	r.head(&o, "connection", conn.Opened, conn, conn.DecisionID)
	protocol(&o, conn)
	o.number("received_bytes", conn.Received)
	o.number("sent_bytes", conn.Sent)
	refusal(&o, conn.Refusal)
	decision(&o, "decision", conn.Decision)
	shadow(&o, conn.Decision, conn.Shadow)
	times(&o, &conn.Times)
	o.close()
	return append(o.buf, '\n')
}

// head writes what both kinds of record have in common: when, what, who, where.
func (r *recorder) head(o *object, kind string, at time.Time, conn *flow.Connection, id string) {
	o.open()
	o.name("time")
	o.buf = r.clock.append(o.buf, at)
	o.word("kind", kind)
	o.name("decision_id")
	o.buf = append(o.buf, '"')
	if id == "" {
		o.buf = r.ids.Append(o.buf)
	} else {
		o.buf = appendEscaped(o.buf, id)
	}
	o.buf = append(o.buf, '"')
	o.number("connection", int64(conn.ID)) //nolint:gosec // a count from 1
	o.word("direction", conn.Direction.String())
	o.text("listener", conn.Listener, maxName)

	// The mesh peer is the caller inbound and the server outbound.
	source, destination := conn.PeerID, conn.Local.String()
	if conn.Direction == flow.Outbound {
		source, destination = destination, source
	}
	o.nested("source")
	o.address("address", conn.Remote)
	o.text("id", source, maxID)
	o.close()
	o.nested("destination")
	o.address("address", conn.Destination)
	o.address("original", conn.Original)
	o.text("service", conn.Service, maxName)
	o.text("id", destination, maxID)
	o.close()
}

func protocol(o *object, conn *flow.Connection) {
	o.word("protocol", conn.Protocol.String())
	o.word("security", conn.Security.String())
	o.yes("passthrough", conn.Passthrough)
	o.yes("quic", conn.QUIC)
}

func refusal(o *object, r flow.Refusal) {
	if r.Reason == flow.None {
		return
	}
	o.word("reason", r.Reason.String())
	o.text("detail", r.Detail, maxDetail)
}

func decision(o *object, name string, d authz.Decision) {
	if d.Basis == 0 {
		return // nothing was evaluated
	}
	verdict := "deny"
	if d.Allowed {
		verdict = "allow"
	}
	o.nested(name)
	o.word("verdict", verdict)
	o.word("basis", d.Basis.String())
	if d.Policy != "" {
		o.text("policy", d.Policy, maxName)
		if d.Rule >= 0 {
			o.number("rule", int64(d.Rule))
		}
	}
	o.close()
}

// shadow writes what policies say that are only tried, where it is something else.
func shadow(o *object, live, shadow authz.Decision) {
	if differs(live, shadow) {
		decision(o, "shadow", shadow)
	}
}

// differs tells whether the policies that are tried, if there are any, would have
// it otherwise.
func differs(live, shadow authz.Decision) bool {
	return shadow.Basis != 0 && live.Granted() != shadow.Allowed
}

func inspection(o *object, i *flow.Inspection) {
	if i.Outcome == flow.InspectionOff {
		return
	}
	o.nested("waf")
	inspected(o, i)
	if i.Trial != nil {
		o.nested("trial")
		inspected(o, i.Trial)
		o.close()
	}
	o.close()
}

func inspected(o *object, i *flow.Inspection) {
	o.word("outcome", i.Outcome.String())
	o.text("policy", i.Policy, maxName)
	if i.Uninspected != flow.Inspected {
		o.word("uninspected", i.Uninspected.String())
	}
	o.number("score", int64(i.Score))
	o.numbers("rules", i.Rules, maxRules)
	o.text("message", i.Message, maxDetail)
	o.text("location", i.Location, maxDetail)
	matches(o, i)
	o.number("inspected_bytes", i.Bytes)
	if i.Err != nil {
		o.text("error", i.Err.Error(), maxDetail)
	}
}

// matches writes where an attack was found, which is the evidence of an exclusion.
func matches(o *object, i *flow.Inspection) {
	if i.Outcome != flow.Blocked && i.Outcome != flow.Detected || len(i.Matches) == 0 {
		return
	}
	o.array("matches")
	for _, m := range i.Matches[:min(len(i.Matches), maxPlaces)] {
		o.element()
		o.open()
		o.number("rule", int64(m.Rule))
		o.text("location", m.Location, maxName)
		o.text("decoded", m.Decoded, maxName)
		o.close()
	}
	o.end()
}

func times(o *object, t *flow.Times) {
	o.nested("t_us")
	stage(o, "tls", t.TLS)
	stage(o, "authz", t.Authorize)
	stage(o, "inspect", t.Inspect)
	stage(o, "connect", t.Connect)
	stage(o, "first_byte", t.FirstByte)
	o.number("total", t.Total.Microseconds())
	o.close()
}

// stage leaves out a stage that did not run; one that took less than half a
// microsecond counts as 0.
func stage(o *object, name string, d time.Duration) {
	if d != 0 {
		o.number(name, d.Round(time.Microsecond).Microseconds())
	}
}

// pathOf is the normalised path, or for a request refused before it had one,
// what came on the wire without its query, which may hold secrets.
func pathOf(req *flow.Request) string {
	if req.Path != "" {
		return req.Path
	}
	path, _, _ := strings.Cut(req.Target, "?")
	return path
}

// A clock formats times, and keeps the formatted second for the next call.
type clock struct {
	last atomic.Pointer[second]
}

type second struct {
	unix int64
	text string // `"2006-01-02T15:04:05.`
}

// append appends t as a JSON string: RFC 3339 in UTC with microseconds.
func (c *clock) append(dst []byte, t time.Time) []byte {
	unix := t.Unix()
	s := c.last.Load()
	if s == nil || s.unix != unix {
		s = &second{unix, t.UTC().Format(`"2006-01-02T15:04:05.`)}
		c.last.Store(s)
	}
	dst = append(dst, s.text...)
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(micros/unit%10)) //nolint:gosec // one digit
	}
	return append(dst, 'Z', '"')
}
