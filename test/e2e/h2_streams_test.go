package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// echoes sends back what comes, as it comes.
func echoes(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.Flush() // a client may wait for the head
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n])
		}
		if err != nil || control.Flush() != nil {
			return
		}
	}
}

// A talk is a stream that says something again and again and wants to hear it.
type talk struct {
	heard atomic.Int64
	stop  atomic.Bool
}

func (k *talk) run(client *http.Client, url string) error {
	in, out := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, url, in)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	defer out.Close()
	for n := 0; !k.stop.Load(); n++ {
		say := fmt.Appendf(nil, "message %d %s;", n, strings.Repeat("x", n%2000))
		if _, err := out.Write(say); err != nil {
			return err
		}
		got := make([]byte, len(say))
		if _, err := io.ReadFull(res.Body, got); err != nil {
			return err
		}
		if !bytes.Equal(got, say) {
			return fmt.Errorf("heard %.40q, not %.40q", got, say)
		}
		k.heard.Add(1)
	}
	out.Close()
	rest, err := io.ReadAll(res.Body)
	if len(rest) > 0 {
		return fmt.Errorf("heard %.40q behind the end", rest)
	}
	return err
}

// h2Client speaks HTTP/2 without TLS over a connection of its own.
func h2Client(t *testing.T) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Identities, and a root, are rotated under streams that have been open all the time:
// none of them fails, nor does a call beside them.
func TestIdentitiesAreRotatedUnderStreams(t *testing.T) {
	t.Parallel()
	ca := newCA(t, "example.org")
	inSocket, _ := workloadAPI(t, ca, payments)
	outSocket, _ := workloadAPI(t, ca, checkout)
	in := side{forward: serveH2(t, echoes), policies: allowMesh, spec: identityFrom(inSocket)}.start(t)
	out := side{to: []string{in.Address(t, "in")}, spec: identityFrom(outSocket)}.start(t)
	url := "http://" + out.Address(t, "out") + charge

	const streams, rotations = 8, 4
	talks := make([]talk, streams)
	client := h2Client(t)
	var all sync.WaitGroup
	for i := range talks {
		all.Go(func() {
			if err := talks[i].run(client, url); err != nil {
				t.Errorf("stream %d, after %d messages: %v", i, talks[i].heard.Load(), err)
			}
		})
	}
	goOn := func() {
		var was [streams]int64
		for i := range talks {
			was[i] = talks[i].heard.Load()
		}
		testkit.Eventually(t, "every stream goes on", func() bool {
			for i := range talks {
				if talks[i].heard.Load() < was[i]+20 {
					return false
				}
			}
			return true
		})
	}
	goOn()
	calls := dialH2(t, out.Address(t, "out"))
	for i := range rotations {
		wasIn, wasOut := generation(t, in), generation(t, out)
		if i == rotations/2 {
			if err := ca.RotateRoot(); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "both know the new root", func() bool {
				return generation(t, in) > wasIn && generation(t, out) > wasOut
			})
			wasIn, wasOut = generation(t, in), generation(t, out)
		}
		ca.Rotate()
		testkit.Eventually(t, "both have a new SVID", func() bool {
			return generation(t, in) > wasIn && generation(t, out) > wasOut
		})
		goOn()
		if a := calls.grpc(odd(i), charge); a.Last(":status") != "200" {
			t.Errorf("a call beside the streams was answered with %+v", a.Heads)
		}
	}
	heard := int64(0)
	for i := range talks {
		talks[i].stop.Store(true)
		heard += talks[i].heard.Load()
	}
	all.Wait()
	t.Logf("%d streams heard %d messages over %d rotations", streams, heard, rotations)
}

// A root that is taken away ends the streams of whom only it vouched for, at once and
// on both sides.
func TestARootThatIsLostEndsStreams(t *testing.T) {
	t.Parallel()
	app := newPatientApp(t)
	p := newPair(t, side{forward: app.addr}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	c.must(c.Call(1, true, "/held"))
	<-app.asked
	if err := p.ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	p.ca.DropOldRoots()
	p.inID.Rotate(t, devca.IssueOptions{})
	a := c.answer(1)
	if a.Last("grpc-status") != "14" {
		t.Errorf("the stream was answered with %+v", a.Heads)
	}
	p.in.Log.AwaitReason(t, "certificate_revoked")
}

// What is said in small pieces arrives in small pieces, both ways, and the end of one
// direction is not that of the other.
func TestStreamsInBothDirections(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveH2(t, echoes)}, side{})
	c := dialH2(t, p.out.Address(t, "out"))
	c.must(c.Call(1, false, charge))
	const pieces = 200
	for i := range pieces {
		say := fmt.Sprintf("piece %d", i)
		c.must(c.Framer.WriteData(1, false, []byte(say)))
		for got := ""; got != say; {
			f, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*http2.DataFrame); ok {
				if got += string(d.Data()); !strings.HasPrefix(say, got) {
					t.Fatalf("heard %q, not %q", got, say)
				}
			}
		}
	}
	c.must(c.Framer.WriteData(1, true, nil))
	for {
		f, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			return
		}
	}
}
