package evidence

import "slices"

// fieldBytes is the longest value in which a rule is believed by itself. It is about what
// is entered into a field; in longer texts the words and signs that the rules look for
// meet by chance. Of 16,557 benign requests, rules that were not doubted took 3 for
// attacks in values up to 128 bytes, 6 up to 200, 15 at any length.
const fieldBytes = 128

// class is the class of attacks that a rule of the Core Rule Set is about: the first
// three digits of its id.
func class(rule int) int { return rule / 1000 }

// ofRuleSet tells the rules of the Core Rule Set from those of a policy.
func ofRuleSet(rule int) bool { return rule >= 900000 && rule < 1000000 }

// unheard tells rules that say nothing about calls between services: 920 and 921 are about
// what browsers don't do (an address for a host, types, ranges, line ends in a text), 943
// about sessions of web sites. What is ambiguous in a request is refused by the base rules
// and by the HTTP engines, whatever the score.
func unheard(rule int) bool {
	switch class(rule) {
	case 920, 921, 943:
		return true
	}
	return false
}

// believed tells whether a hit counts by itself. Rules of a policy do: whoever wrote
// them meant it.
func believed(doubts func(rule int) bool, h Hit) bool {
	return !ofRuleSet(h.Rule) || h.Size <= fieldBytes && !doubts(h.Rule)
}

// doubted tells the rules that count only if something else speaks for an attack. They are
// chosen by what they look for, not by what they hit: a list that was learned from the
// benign requests of one half of the sites did three times worse on the other half
// (docs/waf.md).
func doubted(rule int) bool {
	switch class(rule) {
	case 930, 931:
		// Names of files and steps up in paths; URLs with an address or another host,
		// which is how services are told of each other. But for the parameters of some
		// applications by name, which take the URL of a script to include.
		return rule != 931110
	case 932:
		// Names of commands, which are words; but for the mark of Shellshock.
		return rule != 932170 && rule != 932171
	}
	_, found := slices.BinarySearch(loose[:], rule)
	return found
}

// loose are single rules that are doubted, ascending.
var loose = [...]int{
	// Placeholders, which are variables to PHP; names of its functions.
	933135, 933150, 933151, 933160, 933161, 933180, 933210,
	// Names of functions of JavaScript on servers; URLs with an address; names of hosts
	// that are near, wherever they stand.
	934100, 934101, 934110, 934190,
	// Anything that a lenient reader can take for HTML.
	941100, 941101,
	// Words of scripts, URLs of scripts and data, the same with encodings in between.
	941160, 941170, 941180, 941181, 941210, 941220, 941310, 941350,
	// Names of global objects and of functions of a browser.
	941370, 941390,
	// Anything that a lenient reader can take for SQL.
	942100, 942101,
	// Names of databases and of functions of SQL, words of SQL in a row.
	942140, 942151, 942152, 942190,
	// Numbers at the ends of what types can hold, which are the limits in schemas.
	942220,
	942230, 942270,
	// Operators of MongoDB; an alias of SQL; JSON with an operator of SQL behind it.
	942290, 942360, 942550,
}
