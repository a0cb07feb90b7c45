package lexicon

// Bytes is a set of kinds of bytes.
type Bytes uint32

// The kinds of bytes. What stands for itself has a kind of its own where a detector
// asks for it.
const (
	Letter Bytes = 1 << iota
	Digit
	Space   // blank, tab, vertical tab, form feed
	Line    // CR, LF
	Control // other control characters, DEL
	NUL
	High       // 0x80 and above
	Single     // '
	Double     // "
	Backtick   // `
	Less       // <
	Ampersand  // &
	Percent    // %
	Backslash  // \
	Slash      // /
	Dot        // .
	Paren      // (
	Brace      // {
	Bracket    // [
	Dollar     // $
	Semicolon  // ;
	Pipe       // |
	Hash       // #
	Star       // * ?
	Equals     // =
	Colon      // :
	At         // @
	Plus       // +
	Minus      // -
	Exclaim    // !
	Comparison // > ~ ^
	Underscore // _
)

// Quote is any of the three.
const Quote = Single | Double | Backtick

// Any tells whether the sets have a kind in common.
func (b Bytes) Any(of Bytes) bool { return b&of != 0 }

// All tells whether b has all kinds of another set.
func (b Bytes) All(of Bytes) bool { return b&of == of }

// kinds is the kind of each byte; what no detector asks for has none.
var kinds = byteKinds()

func byteKinds() (all [256]Bytes) {
	for c := range all {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			all[c] = Letter
		case '0' <= c && c <= '9':
			all[c] = Digit
		case c >= 0x80:
			all[c] = High
		case c < ' ' || c == 0x7f:
			all[c] = Control
		}
	}
	all[0] = NUL
	all['\r'], all['\n'] = Line, Line
	for _, c := range " \t\v\f" {
		all[c] = Space
	}
	for _, c := range ">~^" {
		all[c] = Comparison
	}
	const single = "'\"`<&%\\/.({[$;|#*=:@+-!"
	of := [...]Bytes{
		Single, Double, Backtick, Less, Ampersand, Percent, Backslash, Slash, Dot, Paren, Brace, Bracket,
		Dollar, Semicolon, Pipe, Hash, Star, Equals, Colon, At, Plus, Minus, Exclaim,
	}
	for i := range single {
		all[single[i]] = of[i]
	}
	all['?'] = Star
	all['_'] = Underscore
	return all
}

// Kind is the kind of one byte.
func Kind(c byte) Bytes { return kinds[c] }

// IsSpace tells white space, line ends included.
func IsSpace(c byte) bool { return kinds[c]&(Space|Line) != 0 }

// IsWord tells what a name can be made of: letters, digits and underscores.
func IsWord(c byte) bool { return kinds[c]&(Letter|Digit|Underscore) != 0 }

// IsDigit tells decimal digits.
func IsDigit(c byte) bool { return kinds[c]&Digit != 0 }

// IsLetter tells ASCII letters.
func IsLetter(c byte) bool { return kinds[c]&Letter != 0 }

// IsHex tells hexadecimal digits.
func IsHex(c byte) bool { return IsDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// Lower is c in lower case, if it is an ASCII letter.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
