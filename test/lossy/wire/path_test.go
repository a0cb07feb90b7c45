package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbered yields packets of one byte each, one every gap, and then ends.
type numbered struct {
	next, all int
	gap       time.Duration
}

func (n *numbered) Read(p []byte) (int, error) {
	if n.next == n.all {
		return 0, io.EOF
	}
	time.Sleep(n.gap) //nolint:forbidigo // the clock of a bubble
	p[0] = byte(n.next)
	n.next++
	return 1, nil
}

// arrivals notes when what arrived.
type arrivals struct {
	start time.Time
	at    []time.Duration
	data  bytes.Buffer
}

func (a *arrivals) Write(p []byte) (int, error) {
	a.at = append(a.at, time.Since(a.start))
	return a.data.Write(p)
}

// carry runs a line to its end on the clock of a bubble.
func carry(t *testing.T, from io.Reader, p Path) (*arrivals, Count, error) {
	t.Helper()
	to := &arrivals{start: time.Now()}
	l := newLine(from, to, 1)
	l.until = func(_ context.Context, due time.Time) { time.Sleep(time.Until(due)) } //nolint:forbidigo // as above
	l.set(p)
	err := l.run(t.Context())
	return to, l.counted(), err
}

func TestPacketsArriveInOrderAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		to, count, err := carry(t, &numbered{all: n, gap: time.Millisecond}, Path{Delay: 10 * time.Millisecond})
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if len(to.at) != n || count != (Count{Packets: n}) {
			t.Fatalf("%d arrived, counted %+v", len(to.at), count)
		}
		for i, at := range to.at {
			if want := time.Duration(i+1)*time.Millisecond + 10*time.Millisecond; at != want || to.data.Bytes()[i] != byte(i) {
				t.Fatalf("packet %d arrived as %d after %v, want %v", i, to.data.Bytes()[i], at, want)
			}
		}
	})
}

func TestTheShareThatIsLost(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 1} {
		synctest.Test(t, func(t *testing.T) {
			const n = 20_000
			to, count, _ := carry(t, &numbered{all: n, gap: time.Microsecond}, Path{Delay: time.Millisecond, Loss: loss})
			// Five standard deviations of a binomial: the seed is fixed, so it holds or not.
			off := math.Abs(float64(count.Lost) - n*loss)
			if most := 5 * math.Sqrt(n*loss*(1-loss)); off > most {
				t.Errorf("%.2f: %d were lost", loss, count.Lost)
			}
			if int64(len(to.at))+count.Lost != n || count.Overflowed != 0 {
				t.Errorf("%.2f: %d arrived, counted %+v", loss, len(to.at), count)
			}
		})
	}
}

// What is too much for the queue is lost, and counted as what it is.
func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = queued + 1000
		to, count, _ := carry(t, &numbered{all: n}, Path{Delay: time.Hour})
		if count.Overflowed < 990 || int(count.Overflowed)+len(to.at) != n {
			t.Errorf("%d arrived, counted %+v", len(to.at), count)
		}
	})
}

// broken takes nothing.
type broken struct{}

var errBroken = errors.New("broken")

func (b *broken) Write([]byte) (int, error) { return 0, errBroken }

func TestAnErrorIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(&numbered{all: 1}, new(broken), 1)
		l.until = func(context.Context, time.Time) {}
		if err := l.run(t.Context()); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l = newLine(&numbered{all: 1}, new(broken), 1)
		l.until = func(context.Context, time.Time) {}
		if err := l.run(ctx); err != nil {
			t.Errorf("after its end: %v", err)
		}
	})
}
