package crs

// A why is the reason for which a case may come out otherwise than the suite has it.
type why string

const (
	// answer: what the case wants is found by rules that look at answers or report
	// about them. No list says so: see answers_test.go.
	answer why = "about answers, which are not inspected"
	// notHTTP: what does not begin like HTTP is closed without an answer. Apache answers
	// 400, or reads it.
	notHTTP why = "closed without an answer, as no HTTP"
	// stricter: the suite wants the rules to see what our HTTP/1.1 refuses to read in
	// the first place, for another server may read it otherwise.
	stricter why = "refused by the HTTP engine, which is stricter than Apache"
	// path: the path has two readings, so none.
	path why = "refused for a path that can be read in two ways"
	// body: a rule of ours refuses the body before any other looks at it.
	body why = "refused by rule 7100008, as the body ends before it should"
	// server: Apache would have changed or refused the request, so the suite knows
	// that the rule does not match. Without HTTP in front of it, it does.
	server why = "the request cannot come over HTTP, and here there is none"
	// upstream: those who run the suite with Coraza ignore it or expect something else.
	upstream why = "ignored or changed by Coraza's own run as well: it depends on the server"
)

// expected is how a listed case comes out, exactly: one that does otherwise, even as
// the suite has it, fails.
type expected struct {
	Why why
	difference
}

// These are the two lists of Coraza v3.8.1 for its own run of the suite over net/http,
// testing/coreruleset in its repository: what .ftw.yml ignores, with go-ftw 2 and CRS
// 4.25.0 the seven cases that it reports as ignored, and what .ftw-overrides.yml wants
// otherwise than the suite. Earlier lists, which had ten to ignore, ended with go-ftw 1.
// Ours needs four of the fourteen.
func ignoredUpstream() []string {
	return []string{"920100-4", "920100-5", "920280-3", "920430-3", "920430-5", "920430-9", "920610-2"}
}

func changedUpstream() []string {
	return []string{
		"920100-8", "920270-4", "920274-1", "920290-1", "920290-4", "920430-8",
		"922130-1", "922130-2", "922130-3", "922130-4", "922130-5", "922130-6", "922130-7",
	}
}

// listedInProcess are the cases that differ where requests come straight to the
// rules.
func listedInProcess() map[string]expected {
	return map[string]expected{
		"920181-1": {server, difference{Unexpected: []int{920181}}},
		"920400-1": {body, difference{Missing: []int{920400}}},
		"920430-5": {upstream, difference{Missing: []int{920430}}},
		"920640-5": {server, difference{Unexpected: []int{920640}}},
		"921140-1": {server, difference{Unexpected: []int{921140}}},
	}
}

// listedThroughASidecar are those that differ over HTTP.
func listedThroughASidecar() map[string]expected {
	closed := difference{Status: "none", Refused: "none not_http"}
	unread := func(rule int) difference { return difference{Missing: []int{rule}, Refused: "400 bad_request"} }
	return map[string]expected{
		"920100-2":  {notHTTP, closed},
		"920100-11": {notHTTP, closed},
		"920100-12": {notHTTP, closed},
		"920100-13": {notHTTP, closed},
		"920100-14": {notHTTP, difference{Missing: []int{920100}, Refused: "none not_http"}}, // a control character in the method

		"920100-4": {upstream, difference{Status: "405", Refused: "405 method_refused"}}, // CONNECT, which has to be configured
		"920100-5": {upstream, difference{Status: "405", Refused: "405 method_refused"}},
		"920430-5": {upstream, difference{Missing: []int{920430}, Status: "400", Refused: "400 bad_request"}}, // HTTP/0.9
		"920430-8": {upstream, difference{Missing: []int{920430}, Refused: "400 bad_request"}},                // HTTP/4.0

		"920100-16": {stricter, unread(920100)},                                        // a target in absolute form
		"920181-1":  {stricter, difference{Status: "400", Refused: "400 bad_request"}}, // Content-Length and Transfer-Encoding
		"920290-4":  {stricter, unread(920290)},                                        // an empty Host
		"934120-23": {stricter, unread(934120)},                                        // bytes beyond ASCII in the target, here and below
		"934120-24": {stricter, unread(934120)},
		"934120-25": {stricter, unread(934120)},
		"934120-26": {stricter, unread(934120)},
		"934120-39": {stricter, unread(934120)},

		"931131-1": {path, unread(931131)}, // an encoded slash

		"920400-1": {body, difference{Missing: []int{920400}}},
	}
}
