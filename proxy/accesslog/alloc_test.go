package accesslog

import (
	"io"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// TestLoggingAllocatesNothing looks at the steps one by one: the pool between
// them forgets its buffers at random under the race detector.
func TestLoggingAllocatesNothing(t *testing.T) {
	r := &recorder{ids: NewIDs(), query: true}
	req, conn := everything(), connection(flow.TCP)
	req.DecisionID = "" // so that one is made
	buf := r.request(nil, req)
	if n := testing.AllocsPerRun(100, func() { buf = r.request(buf[:0], req) }); n != 0 {
		t.Errorf("the record of a request allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = r.connection(buf[:0], conn) }); n != 0 {
		t.Errorf("the record of a connection allocates %v times, want 0", n)
	}

	w := New(Options{Output: io.Discard})
	// A new piece of the buffer is needed for one record of many, if at all.
	if n := testing.AllocsPerRun(1000, func() { w.add(buf) }); n != 0 {
		t.Errorf("queueing a record allocates %v times, want 0", n)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
