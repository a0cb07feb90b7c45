package gate

import "slices"

// A part is where a value stands in a request.
type part uint8

const (
	argGet part = iota
	argPost
	argGetName
	argPostName
	xmlValue
	file
	fileName
	fileSize
	partName
	partFile
	cookie
	cookieName
	partHeader
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
	filesSize
	partial
	processor
	limitReached
	parseError
	remoteAddr
	serverName
	partCount
)

// keyed tells the parts that are collections.
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
	case "ARGS_PATH":
		return nil, true
	}
	p, ok := bodyParts()[variable]
	if !ok {
		p, ok = singleParts()[variable]
	}
	return []part{p}, ok
}

// bodyParts are collections that only bodies of some kinds have.
func bodyParts() map[string]part {
	return map[string]part{
		"XML": xmlValue, "REQUEST_XML": xmlValue, "FILES": file, "FILES_NAMES": fileName, "FILES_SIZES": fileSize,
		"MULTIPART_NAME": partName, "MULTIPART_FILENAME": partFile, "MULTIPART_PART_HEADERS": partHeader,
	}
}

// ofBody tells those.
func (p part) ofBody() bool { return xmlValue <= p && p <= partFile || p == partHeader }

// singleParts are the variables that have exactly one value, even if it is empty.
func singleParts() map[string]part {
	return map[string]part{
		"REQUEST_LINE": line, "REQUEST_METHOD": method, "REQUEST_PROTOCOL": protocol,
		"REQUEST_URI": uri, "REQUEST_URI_RAW": uriRaw, "REQUEST_FILENAME": filename,
		"REQUEST_BASENAME": basename, "QUERY_STRING": query, "REQUEST_BODY": body,
		"REQUEST_BODY_LENGTH": bodyLength, "REQBODY_ERROR": bodyError, "FILES_COMBINED_SIZE": filesSize, "INBOUND_DATA_ERROR": partial,
		"REQBODY_PROCESSOR": processor, "ARGUMENTS_LIMIT_REACHED": limitReached,
		"URI_PARSE_ERROR": parseError, "REMOTE_ADDR": remoteAddr, "SERVER_NAME": serverName,
	}
}

// constants are single variables that never change for the requests we decide.
func constant(variable string) (value string, ok bool) {
	switch variable {
	case "MULTIPART_STRICT_ERROR":
		return "", true
	case "URLENCODED_ERROR", "MULTIPART_DATA_AFTER", "MULTIPART_INVALID_QUOTING":
		return "0", true
	}
	return "", false
}

// onlyFields tells whether all of these stand in header fields.
func onlyFields(parts []part) bool {
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(p part) bool { return p != header && p != headerName })
}
