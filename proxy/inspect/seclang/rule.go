package seclang

// A Set is all that a rule set says, in the order in which the engine runs it.
type Set struct {
	Rules []*Rule
	// Settings are directives that are no rules, in lower case, with their last
	// argument: "secargumentslimit" to "1000".
	Settings map[string]string
	// defaults are the actions that each phase's rules have unless they say
	// otherwise.
	defaults map[int][]Action
}

// A Rule is a SecRule, a SecAction or a SecMarker. A chain is a rule and the
// links that hang on it.
type Rule struct {
	ID, Phase int
	// Mark is the name of a SecMarker; such a rule has nothing else.
	Mark string
	// Targets are empty for a SecAction, which always matches.
	Targets []Target
	// Operator has no name where Targets is empty.
	Operator Operator
	// Transforms are in lower case, as they remain after each t:none.
	Transforms []string
	Actions    []Action
	Tags       []string
	Capture    bool
	// MultiMatch runs the operator after each transformation, too.
	MultiMatch bool
	// Links complete a chain: all of them must match.
	Links []*Rule
	// Unknown says what of the rule has not been understood.
	Unknown string
}

// An Operator compares a value with its argument.
type Operator struct {
	// Name is in lower case: "rx".
	Name, Argument string
	Negated        bool
}

// An Action is one of a rule's actions; its name is in lower case.
type Action struct{ Name, Value string }

// A Target is a variable that a rule looks at: "REQUEST_HEADERS:Host".
type Target struct {
	// Variable is in upper case.
	Variable string
	Key      Key
	// Count looks at how many values there are instead.
	Count bool
	// Except are keys that are left out.
	Except []Key
}

// A Key selects from a collection. The zero value is all of it.
type Key struct {
	Text string
	// Pattern is a regular expression on keys; then Text is empty.
	Pattern string
}

// Has tells whether a rule has an action, or a value of one where the value is
// not empty.
func (r *Rule) Has(name string) bool {
	_, ok := r.Action(name)
	return ok
}

// Action returns the last value of an action.
func (r *Rule) Action(name string) (value string, ok bool) {
	for _, a := range r.Actions {
		if a.Name == name {
			value, ok = a.Value, true
		}
	}
	return value, ok
}

// Chain returns a rule and its links.
func (r *Rule) Chain() []*Rule { return append([]*Rule{r}, r.Links...) }

// expectsLink tells whether the next rule belongs to this one.
func (r *Rule) expectsLink() bool {
	last := r
	if n := len(r.Links); n > 0 {
		last = r.Links[n-1]
	}
	return last.Has("chain")
}
