package bench

import "fmt"

// fairness says what a reader must know to believe the numbers.
func fairness(workers int) []string {
	each := "one worker thread or process per processor for each proxy (the sidecar: one for all, which is its default; stunnel: a thread per connection)"
	if workers > 0 {
		each = fmt.Sprintf("%d worker threads or processes for each proxy (stunnel: a thread per connection)", workers)
	}
	return []string{
		"HTTP/1.1 keep-alive and pooled connections on all three legs; loopback; handshakes are not measured",
		"TLS 1.3 only, TLS_AES_128_GCM_SHA256, ECDSA P-256 certificates, both ends verified, no resumption",
		"key exchange X25519 for the peers (their OpenSSL has no ML-KEM), X25519MLKEM768 for Outrider",
		"access log of every request on both sides, buffered (HAProxy: a ring in a mapped file, no system call)",
		"Outrider also authorizes every request and names the caller to the app, Envoy names the caller; nginx and HAProxy do neither",
		"stunnel carries bytes only: it reads no HTTP, pools no connections and logs no request; it shows what a tunnel costs, not what a proxy does",
		each,
		"all programs run all the time; CPU time of those not under test is in the JSON as idle_peers_ms",
	}
}

// inspectionFairness is the same of the third part.
func inspectionFairness() []string {
	return []string{
		"the hop of the first part, with only its inbound side inspecting; access logs on both sides, no audit log",
		"stock core rule sets at paranoia level 1, threshold 5: Debian's in nginx (CRS 3.3.4 has 148 rules of that level), Outrider's own (4.25 has 159); its profile mesh allows what services say to each other",
		"request bodies inspected up to 128 KiB, the rest passes; answers are not inspected; rules about answers are not loaded",
		"before each load every program must let the honest request pass and refuse the same one with an attack in it; who does not is not measured",
		"outrider and nginx without inspection stand below, for what it costs",
		"Outrider inspects on one processor, its default; nginx on all",
	}
}
