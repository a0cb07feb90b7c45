package inspect

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// dearRequests are honest requests that cost the rules most, each as long as is
// inspected by default, with one value that keeps it from being proved clean.
func dearRequests() []sample {
	const length = 16 << 10
	fields := request("POST", "/").Header.(header)
	sentence := "The order of the 3rd of May was paid, but the parcel is still in the depot. "
	fill := func(open string, next func(n int) string, end string) string {
		var b strings.Builder
		b.WriteString(open)
		for n := 0; ; n++ {
			s := next(n)
			if b.Len()+len(s)+len(end) > length {
				return b.String() + end
			}
			b.WriteString(s)
		}
	}
	bodies := []struct{ name, kind, text string }{
		{"text", "text/plain", fill("1' or ", func(int) string { return sentence }, "")},
		{"JSON of sentences", "application/json", fill(`{"a":"1' or 2","all":[`, func(n int) string { return fmt.Sprintf(`{"id":%d,"note":"%s"},`, n, sentence) }, "0]}")},
		{"JSON of small objects", "application/json", fill(`{"a":"1' or 2","all":[`, func(n int) string { return fmt.Sprintf(`{"id":%d,"name":"item %d","price":12.5},`, n, n) }, "0]}")},
		{"JSON of numbers", "application/json", fill(`{"a":"1' or 2","all":[`, func(n int) string { return fmt.Sprintf("%d,", 1_000_000_000+1_000_003*n) }, "0]}")},
		{"form", "application/x-www-form-urlencoded", fill("a=1'+or+2", func(n int) string { return fmt.Sprintf("&field%d=value+%d", n, n) }, "")},
	}
	var all []sample
	for _, b := range bodies {
		all = append(all, newSample(b.name, "POST", "/v1/notes", "HTTP/1.1", withBody(fields, b.kind, b.text), b.text))
	}
	return all
}

// BenchmarkDear is what the default of cpuMillis is chosen by: the rules alone.
func BenchmarkDear(b *testing.B) {
	i := build(b, config.InspectionSpec{CPUMillis: 10_000, OnFailure: config.OnFailure{Arguments: config.FailAllow}})
	e := rulesOf(i.engines[0])
	for _, s := range dearRequests() {
		b.Run(s.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			in := input{body: []byte(s.body), now: testNow, checkpoint: func() error { return nil }, fine: true, firstArguments: true}
			var longest time.Duration
			before := threadTime()
			for b.Loop() {
				in.meter = newMeter(time.Hour)
				stop := in.meter.start()
				if _, err := e.evaluate(s.req, in); err != nil {
					b.Fatal(err)
				}
				stop()
				longest = max(longest, in.meter.longest)
			}
			b.ReportMetric(float64((threadTime()-before).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(longest.Microseconds())/1e3, "longest-ms")
		})
	}
}
