package wire

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// mtu is that of Ethernet, in bytes.
	mtu = 1500
	// queued bounds how many packets are under way in one direction: at 1,500 bytes
	// and 10 ms more than 3 Gbit/s, so that nothing is lost but by chance.
	queued = 4096
)

// A Path is how packets fare in one direction.
type Path struct {
	// Delay is how long each is under way.
	Delay time.Duration
	// Loss is the share that is lost, 0 to 1.
	Loss float64
}

// A Count is what a direction has carried since it began.
type Count struct{ Packets, Lost, Overflowed int64 }

// line is one direction. Packets are read by one goroutine and written by another.
type line struct {
	from io.Reader
	to   io.Writer
	// until waits; it may return early when its context ends.
	until func(context.Context, time.Time)

	mu     sync.Mutex
	path   Path
	chance *rand.Rand
	count  Count
}

// packet is one that is under way.
type packet struct {
	due  time.Time
	data []byte
}

func newLine(from io.Reader, to io.Writer, seed uint64) *line {
	return &line{from: from, to: to, until: sleepUntil, chance: rand.New(rand.NewPCG(seed, 2))}
}

// set changes what happens to the packets to come.
func (l *line) set(p Path) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = p
}

func (l *line) counted() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// run carries packets until from ends. The buffers are used again, for a packet costs
// a few microseconds in all.
func (l *line) run(ctx context.Context) error {
	underWay := make(chan packet, queued)
	free := sync.Pool{New: func() any { return new([mtu]byte) }}
	var delivered error
	var deliver sync.WaitGroup
	deliver.Go(func() {
		for p := range underWay {
			l.until(ctx, p.due)
			if _, err := l.to.Write(p.data); err != nil && ctx.Err() == nil {
				delivered = errors.Join(delivered, err)
			}
			free.Put((*[mtu]byte)(p.data[:mtu]))
		}
	})
	err := l.take(underWay, &free)
	close(underWay)
	deliver.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // reading was ended by who ended ctx
	}
	return errors.Join(err, delivered)
}

// take reads packets and lets chance decide about each.
func (l *line) take(underWay chan<- packet, free *sync.Pool) error {
	for {
		buf := free.Get().(*[mtu]byte) //nolint:forcetypeassert // nothing else is in it
		n, err := l.from.Read(buf[:])
		if err != nil {
			return err
		}
		due, lost := l.fate(time.Now())
		if lost {
			free.Put(buf)
			continue
		}
		select {
		case underWay <- packet{due, buf[:n]}:
		default:
			l.overflowed()
			free.Put(buf)
		}
	}
}

// fate is what becomes of the next packet. The delay does not vary, so none overtakes
// another.
func (l *line) fate(now time.Time) (due time.Time, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Packets++
	if l.path.Loss > 0 && l.chance.Float64() < l.path.Loss {
		l.count.Lost++
		return time.Time{}, true
	}
	return now.Add(l.path.Delay), false
}

func (l *line) overflowed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Overflowed++
}
