package testkit

import (
	"fmt"
	"os"
	"testing"
)

// quicEnv is an environment variable. If it names a file, the hop of every mesh that a
// test starts is a stream of QUIC, for what is true over TCP has to be true over QUIC;
// and what came to pass over it is noted in the file, for a run over TCP would pass too.
const quicEnv = "OUTRIDER_TEST_QUIC"

// OverQUIC tells whether hops are to be made over QUIC.
func OverQUIC() bool { return os.Getenv(quicEnv) != "" }

// NoteQUIC notes when the test ends how many calls have come to a sidecar over QUIC.
// Call it before the sidecar is started: it then has recorded everything.
func NoteQUIC(t testing.TB, sidecar func() *Sidecar) {
	t.Helper()
	if !OverQUIC() {
		return
	}
	t.Cleanup(func() {
		s := sidecar()
		if s == nil {
			return
		}
		calls := 0
		for _, r := range s.Log.Records(t) {
			if r["quic"] == true {
				calls++
			}
		}
		f, err := os.OpenFile(os.Getenv(quicEnv), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		fmt.Fprintf(f, "%d %s\n", calls, t.Name())
	})
}
