package observed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
)

const (
	// maxLine bounds a record, in bytes: the longest that a sidecar writes has
	// some 8 KiB.
	maxLine = 64 << 10
	// defaultCalls is about 100 MB at about 500 bytes each. Who has more has ids
	// in paths, or calls from many addresses; less of a log says as much.
	defaultCalls = 200_000
	// maxWorkloads bounds who was called; a log is one workload's as a rule.
	maxWorkloads = 1000
	// maxDays bounds the days of one call.
	maxDays = 1000
	// ellipsis ends what the log has cut.
	ellipsis = "…"
)

// ErrTooMany is for a log with more different calls than are told apart.
var ErrTooMany = errors.New("too many different calls")

// Read adds the records of a log, which is called name in messages.
func (l *Log) Read(name string, r io.Reader) error {
	most := l.MaxCalls
	if most == 0 {
		most = defaultCalls
	}
	in := bufio.NewReaderSize(r, maxLine)
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if long || len(bytes.TrimSpace(text)) > 0 {
			if ok := !long && l.line(text); !ok {
				l.damaged(name + ":" + strconv.Itoa(line))
			}
		}
		if len(l.Calls) > most || len(l.Workloads) > maxWorkloads {
			return fmt.Errorf("%s:%d: %w: more than %d calls or %d workloads; read less of the log at a time", name, line, ErrTooMany, most, maxWorkloads)
		}
		if err != nil {
			return nil //nolint:nilerr // the end
		}
	}
}

func (l *Log) damaged(at string) {
	if l.Damaged++; l.Damaged == 1 {
		l.FirstDamaged = at
	}
}

// record is what is read of a line. New members may be added to records, so those
// that are not known are passed over.
type record struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	ID        string    `json:"decision_id"`
	Direction string    `json:"direction"`
	Listener  string    `json:"listener"`
	Source    struct {
		Address string `json:"address"`
		ID      string `json:"id"`
	} `json:"source"`
	Destination struct {
		Address string `json:"address"`
		ID      string `json:"id"`
	} `json:"destination"`
	Method   string `json:"method"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	Protocol string `json:"protocol"`
	Security string `json:"security"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Decision *struct {
		Verdict string `json:"verdict"`
		Basis   string `json:"basis"`
		Policy  string `json:"policy"`
		Rule    *int   `json:"rule"`
	} `json:"decision"`
	WAF *struct {
		Outcome string `json:"outcome"`
	} `json:"waf"`
}

// line takes one record and tells whether it is one.
func (l *Log) line(text []byte) bool {
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Time.IsZero() || r.Kind != "request" && r.Kind != "connection" {
		return false
	}
	switch r.Direction {
	case "inbound":
	case "outbound":
		l.Outbound++
		return true
	default:
		return false
	}
	if r.cut() {
		l.Cut++
		return true
	}
	c, ok := r.call()
	if !ok {
		return false
	}
	l.add(c, r.Time, r.ID)
	return true
}

// cut tells whether something is shortened that a policy may look at.
func (r *record) cut() bool {
	return slices.ContainsFunc([]string{r.Source.ID, r.Destination.ID, r.Method, r.Host, r.Path, r.Listener}, func(s string) bool {
		return strings.HasSuffix(s, ellipsis)
	})
}

// call is false for a record that contradicts itself.
func (r *record) call() (c Call, ok bool) {
	c = Call{
		Listener: r.Listener, Method: r.Method, Host: r.Host, Path: r.Path, Rule: -1, Reason: r.Reason,
		HTTP: strings.HasPrefix(r.Protocol, "http"), Missing: r.Reason == "" && (r.Status == 404 || r.Status == 405 || r.Status == 501),
	}
	source, err1 := address(r.Source.Address)
	destination, err2 := address(r.Destination.Address)
	c.Source, c.Port = source.Addr().Unmap().WithZone(""), destination.Port()
	var err3, err4 error
	if r.Source.ID != "" {
		c.Peer, err3 = spiffeid.FromString(r.Source.ID)
	}
	if r.Destination.ID != "" {
		c.Workload, err4 = spiffeid.FromString(r.Destination.ID)
	}
	// Nobody has an identity without mutual TLS, whatever a line says.
	contradicts := r.Security != "mutual_tls" && r.Source.ID != "" || r.Kind == "request" && !c.HTTP
	if errors.Join(err1, err2, err3, err4) != nil || contradicts {
		return c, false
	}
	if d := r.Decision; d != nil {
		if c.Verdict, ok = verdictOf(d.Verdict); !ok {
			return c, false
		}
		c.Policy, c.Limited = d.Policy, d.Basis == authz.ByLimit.String()
		if d.Rule != nil && d.Policy != "" {
			c.Rule = *d.Rule
		}
	}
	c.Attack = r.WAF != nil && (r.WAF.Outcome == "blocked" || r.WAF.Outcome == "detected")
	return c, true
}

func verdictOf(word string) (Verdict, bool) {
	switch word {
	case "allow":
		return Allowed, true
	case "deny":
		return Denied, true
	}
	return Undecided, false
}

// address reads one that may be missing.
func address(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(text)
}

func (l *Log) add(c Call, at time.Time, id string) {
	if l.index == nil {
		l.index = map[Call]*Tally{}
	}
	l.Records++
	if l.First.IsZero() || at.Before(l.First) {
		l.First = at
	}
	if at.After(l.Last) {
		l.Last = at
	}
	t := l.index[c]
	if t == nil {
		t = &Tally{Call: c, First: at, Last: at, Example: id, days: map[int64]struct{}{}}
		l.index[c] = t
		l.Calls = append(l.Calls, t)
		if !slices.Contains(l.Workloads, c.Workload) {
			l.Workloads = append(l.Workloads, c.Workload)
		}
	}
	t.Hits++
	if at.Before(t.First) {
		t.First = at
	}
	if at.After(t.Last) {
		t.Last = at
	}
	if len(t.days) < maxDays {
		t.days[at.Unix()/(24*60*60)] = struct{}{}
	}
}
