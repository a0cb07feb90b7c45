package http1

// noteConnection reads the options of a Connection field.
func (h *head) noteConnection(raw []byte, list span) *ProtocolError {
	for list.from <= list.to {
		end := list.from
		for end < list.to && raw[end] != ',' {
			end++
		}
		from, to := list.from, end
		for from < to && (raw[from] == ' ' || raw[from] == '\t') {
			from++
		}
		for to > from && (raw[to-1] == ' ' || raw[to-1] == '\t') {
			to--
		}
		list.from = end + 1
		if from == to {
			continue // an empty element, RFC 9110 §5.6.1
		}
		if err := h.noteOption(raw, span{from, to}); err != nil {
			return err
		}
	}
	return nil
}

// maxNominated bounds the names one head may have removed.
const maxNominated = 16

func (h *head) noteOption(raw []byte, at span) *ProtocolError {
	option := cut(raw, at)
	if !all(option, tokenByte) {
		return malformed("a Connection option is not a token")
	}
	switch {
	case equalFold(option, "close"):
		h.closes = true
	case equalFold(option, "keep-alive"):
		h.keeps = true
	case equalFold(option, "upgrade"):
		h.upgrades = true
	default:
		switch kindOf(option) {
		case hostField, contentLengthField, confusingField, expectField:
			// To drop these would change what the message means to the
			// next server (RFC 9110 §7.6.1 forbids to list them).
			return malformed("Connection lists a field that must not be dropped")
		case plainField, traceparentField:
			if len(h.nominated) == maxNominated {
				return malformed("Connection lists too many fields")
			}
			h.nominated = append(h.nominated, at)
		default: // ends at this hop whether nominated or not
		}
	}
	return nil
}

// dropped tells whether a field ends at this hop.
func dropped[T text](h *head, src T, f *field) bool {
	switch f.kind {
	case connectionField, hopField, reservedField, teField, upgradeField, transferEncodingField:
		return true
	case decisionField:
		return !h.fromSidecar
	case plainField, traceparentField:
		for _, n := range h.nominated {
			if sameName(cut(src, n), cut(src, f.name)) {
				return true
			}
		}
	case hostField, contentLengthField, expectField, confusingField:
		// They may not be nominated: see noteOption.
	}
	return false
}

func sameName[T text](a, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// appendFields copies the fields that pass this hop, in runs, as they came.
func appendFields[T text](dst []byte, h *head, src T) []byte {
	run := span{}
	for i := range h.fields {
		f := &h.fields[i]
		if dropped(h, src, f) {
			dst = append(dst, cut(src, run)...)
			run = span{}
			continue
		}
		if run.to != f.line.from {
			dst = append(dst, cut(src, run)...)
			run.from = f.line.from
		}
		run.to = f.line.to
	}
	return append(dst, cut(src, run)...)
}

// appendWithout is appendFields less the fields of one more kind.
func appendWithout[T text](dst []byte, h *head, src T, kind fieldKind) []byte {
	for i := range h.fields {
		if f := &h.fields[i]; f.kind != kind && !dropped(h, src, f) {
			dst = append(dst, cut(src, f.line)...)
		}
	}
	return dst
}
