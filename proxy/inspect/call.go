package inspect

import (
	"errors"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A callFormat is what the head of a gRPC call says about its messages. The zero
// value is that of a request which is none, or whose messages are not inspected.
type callFormat struct {
	inspected bool
	json      bool
	coding    coding
}

func formatOf(h flow.Header) callFormat {
	t, _ := h.Get("content-type")
	return callFormat{inspected: true, json: isJSON(t), coding: codingOf(h)}
}

// isJSON tells whether a content type has the suffix +json.
func isJSON(contentType string) bool {
	const suffix = "+json"
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimRight(t, " \t")
	return len(t) >= len(suffix) && strings.EqualFold(t[len(t)-len(suffix):], suffix)
}

// processor is what reads a message. A server may take a subtype that it does not
// know for protobuf, so whatever is not JSON is read as protobuf, which finds the
// text in all else.
func (c callFormat) processor() string {
	if c.json {
		return "JSON"
	}
	return protobufProcessor
}

// wants is how many bytes of a call are read for its first message: the prefix, and
// what it announces as far as that is inspected. Where nothing may follow, it takes
// one byte more, or the end of the stream, to know.
func (r rule) wants(read []byte) int64 {
	if !r.call.inspected {
		return r.bytes
	}
	f, _, err := cutFrame(read)
	if err != nil {
		return framePrefix
	}
	n := framePrefix + min(f.size, int64(r.policy.body.InspectBytes))
	if r.onlyOne() && n == framePrefix+f.size {
		n++
	}
	return n
}

// onlyOne tells whether a call with a second message is refused.
func (r rule) onlyOne() bool { return r.block && r.policy.grpc.Streaming == config.StreamingDeny }

// inputOfCall makes the input of what was read of a call. A call without a message
// has nothing to inspect but its head.
func (p Plan) inputOfCall(r rule, read []byte, complete bool) input {
	in := input{processor: r.call.processor()}
	if len(read) == 0 && complete {
		return in
	}
	f, rest, err := cutFrame(read)
	switch limit := int64(r.policy.body.InspectBytes); {
	case err != nil && (complete || err == errFrameFlag): //nolint:errorlint // it is never wrapped
		in.broken = err
	case err != nil && r.unfinished:
		in.reason, in.headOnly = flow.Unfinished, true
	case err != nil && !r.block: // no message has come
		in.reason, in.headOnly = flow.Stream, true
	case err != nil: // a plan that was made anew wants more than was read
		r.overCap(&in, nil)
	case complete && !f.whole():
		in.broken = errFrameCut
	case f.compressed:
		p.unpack(r, &in, f)
	case f.whole() && f.size <= limit:
		in.body = f.payload
	default:
		r.overCap(&in, f.payload[:min(limit, int64(len(f.payload)))])
	}
	if len(rest) > 0 || r.onlyOne() && err == nil && f.whole() && !complete {
		r.furtherMessages(&in)
	}
	return in
}

// unpack decompresses a message.
func (p Plan) unpack(r rule, in *input, f frame) {
	switch r.call.coding {
	case noCoding:
		in.broken = errNotCompressed
	case gzipCoding:
		r.decompress(&p.owner.unzip, in, gzipCoding, f.payload, !f.whole())
	case unknownCoding, brotliCoding, zstdCoding:
		in.reason, in.headOnly = flow.Encoding, true
	}
}

// decompress fills an input from compressed bytes, of which there may be more if they
// are cut.
func (r rule) decompress(u *unzipper, in *input, c coding, packed []byte, cut bool) {
	body, whole, err := u.decode(c, packed, r.policy.body.InspectBytes, cut)
	switch {
	case errors.Is(err, errRatio):
		in.reason, in.headOnly = flow.Encoding, true
	case err != nil:
		in.broken = err
	case whole:
		in.body = body
	default:
		r.overCap(in, body)
	}
}

// overCap is for a message of which only a prefix is inspected.
func (r rule) overCap(in *input, prefix []byte) {
	in.body, in.partial = prefix, true
	if r.unfinished {
		in.reason = flow.Unfinished
		return
	}
	in.reason = flow.BodyOverCap
	in.headOnly = r.policy.body.Overflow == config.OverflowPass
}

// furtherMessages notes that there are messages which nobody looks at.
func (r rule) furtherMessages(in *input) {
	if r.onlyOne() {
		in.refused = true
		in.reason = flow.Stream
	} else if in.reason == flow.Inspected {
		in.reason = flow.Stream
	}
}
