package message

// IsEventStream tells whether a content type is that of server-sent events, whose
// sender may be silent for long (html.spec.whatwg.org, Server-sent events).
func IsEventStream[T Text](contentType T) bool {
	const events = "text/event-stream"
	if len(contentType) < len(events) || !EqualFold(contentType[:len(events)], events) {
		return false
	}
	if len(contentType) == len(events) {
		return true
	}
	next := contentType[len(events)]
	return next == ';' || next == ' ' || next == '\t'
}
