package cluster

import "testing"

// Address is a "host:port" of loopback that nobody listens on.
func Address(t testing.TB) string {
	t.Helper()
	ports, err := free(1)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + ports[0]
}
