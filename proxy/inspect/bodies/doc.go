// Package bodies takes bodies of requests apart into values, each with its place in
// them: "json.0.items.3.name", "xml.order.item.3.@id". The rules, what proves requests
// clean, and the detectors read by the same readers, so that none of them sees what
// another does not.
//
// A reader is bounded by a [Sink] and by the body; it does no I/O. Where a body is not
// what it should be, a reader hands over what it has read and says so.
package bodies
