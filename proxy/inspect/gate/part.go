package gate

import "slices"

// A part is where a value stands in a request.
type part uint8

const (
	argGet part = iota
	argPost
	argGetName
	argPostName
	cookie
	cookieName
	header
	headerName
	line
	method
	protocol
	uri
	uriRaw
	filename
	basename
	query
	body
	bodyLength
	bodyError
	partial
	processor
	limitReached
	parseError
	remoteAddr
	serverName
	partCount
)

// collections are parts that have keys.
func (p part) keyed() bool { return p <= headerName }

// partsOf maps the variables of rules to the parts that make them up. A variable
// that is always empty for the bodies we read has none.
func partsOf(variable string) (parts []part, ok bool) {
	switch variable {
	case "ARGS":
		return []part{argGet, argPost}, true
	case "ARGS_GET":
		return []part{argGet}, true
	case "ARGS_POST":
		return []part{argPost}, true
	case "ARGS_NAMES":
		return []part{argGetName, argPostName}, true
	case "ARGS_GET_NAMES":
		return []part{argGetName}, true
	case "ARGS_POST_NAMES":
		return []part{argPostName}, true
	case "REQUEST_COOKIES":
		return []part{cookie}, true
	case "REQUEST_COOKIES_NAMES":
		return []part{cookieName}, true
	case "REQUEST_HEADERS":
		return []part{header}, true
	case "REQUEST_HEADERS_NAMES":
		return []part{headerName}, true
	case "FILES", "FILES_NAMES", "FILES_SIZES", "XML", "REQUEST_XML", "MULTIPART_PART_HEADERS", "MULTIPART_FILENAME", "MULTIPART_NAME", "ARGS_PATH":
		return nil, true
	}
	p, ok := singleParts()[variable]
	return []part{p}, ok
}

// singleParts are the variables that have exactly one value, even if it is empty.
func singleParts() map[string]part {
	return map[string]part{
		"REQUEST_LINE": line, "REQUEST_METHOD": method, "REQUEST_PROTOCOL": protocol,
		"REQUEST_URI": uri, "REQUEST_URI_RAW": uriRaw, "REQUEST_FILENAME": filename,
		"REQUEST_BASENAME": basename, "QUERY_STRING": query, "REQUEST_BODY": body,
		"REQUEST_BODY_LENGTH": bodyLength, "REQBODY_ERROR": bodyError, "INBOUND_DATA_ERROR": partial,
		"REQBODY_PROCESSOR": processor, "ARGUMENTS_LIMIT_REACHED": limitReached,
		"URI_PARSE_ERROR": parseError, "REMOTE_ADDR": remoteAddr, "SERVER_NAME": serverName,
	}
}

// constants are single variables that never change for the requests we decide.
func constant(variable string) (value string, ok bool) {
	switch variable {
	case "MULTIPART_STRICT_ERROR":
		return "", true
	case "FILES_COMBINED_SIZE", "URLENCODED_ERROR", "MULTIPART_DATA_AFTER", "MULTIPART_INVALID_QUOTING":
		return "0", true
	}
	return "", false
}

// onlyFields tells whether all of these stand in header fields.
func onlyFields(parts []part) bool {
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(p part) bool { return p != header && p != headerName })
}
