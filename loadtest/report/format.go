package report

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// absent stands where there is no figure.
const absent = "–"

// A unit is a name for so many of the smallest one.
type unit struct {
	name string
	size float64
}

func times() []unit  { return []unit{{"µs", 1}, {"ms", 1e3}, {"s", 1e6}} }
func memory() []unit { return []unit{{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} }

// micros writes microseconds with three digits in the unit that suits: µs below
// a millisecond, ms below a second.
func micros(us float64) string { return inUnit(us, times()) }

// octets writes an amount of memory.
func octets(n float64) string { return inUnit(n, memory()) }

// inUnit takes the smallest unit in which a figure, rounded, stays below the next.
func inUnit(v float64, units []unit) string {
	if !finite(v) {
		return absent
	}
	u := fitting(v, units)
	return digits(v/u.size) + " " + u.name
}

func fitting(v float64, units []unit) unit {
	for i, u := range units[:len(units)-1] {
		next := units[i+1].size / u.size
		// 999.6 has three digits as 1000, which is the next unit's 1.00.
		if math.Abs(v)/u.size < next-next/2000 {
			return u
		}
	}
	return units[len(units)-1]
}

// digits writes three significant digits, and all of those before the point.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a < 0.005:
		return "0" // nobody measures below, and -0 is none
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// signed puts a plus before what grew.
func signed(v float64, write func(float64) string) string {
	text := write(v)
	if v >= 0 && text != absent {
		return "+" + text
	}
	return text
}

// share writes a part of all in per cent; a small one is not written as none.
func share(v float64) string {
	switch {
	case !finite(v):
		return absent
	case v == 0:
		return "0 %"
	case math.Abs(v) < 0.00005:
		return strconv.FormatFloat(v*100, 'g', 1, 64) + " %"
	}
	return digits(v*100) + " %"
}

// count writes thousands apart: 1,234,567.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// exact leaves out zeros behind the point: a bound is as it was written, 2 ms,
// where a measurement is known to three digits, 2.00 ms.
func exact(text string) string {
	number, unit, _ := strings.Cut(text, " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + unit
}

// rate writes requests per second.
func rate(v float64) string {
	switch {
	case !finite(v) || math.Abs(v) >= 1e12:
		return absent
	case math.Abs(v) >= 99.95:
		return count(int64(math.Round(v)))
	}
	return digits(v)
}

// seconds writes a length of time as people say it: 5s, 1m30s.
func seconds(s float64) string {
	if !finite(s) || math.Abs(s) > 1e9 {
		return absent
	}
	return time.Duration(s * float64(time.Second)).String()
}

// number writes a figure of a finding in its unit.
func (f Finding) number(v float64) string { return figure(f.Unit, v) }

// figure writes a value in one of the units of findings.
func figure(of string, v float64) string {
	switch of {
	case unitShare:
		return share(v)
	case unitBytes:
		return octets(v)
	}
	return micros(v)
}

// The units of findings.
const (
	unitMicros     = "us"
	unitPerRequest = "us/request"
	unitShare      = "share"
	unitBytes      = "bytes"
)

// between writes where a difference lies: "+115 to +123 µs".
func between(of string, low, high float64) string {
	write := func(v float64) string { return signed(v, func(v float64) string { return figure(of, v) }) }
	from, to := write(low), write(high)
	number, name, _ := strings.Cut(from, " ")
	if _, other, ok := strings.Cut(to, " "); ok && other == name {
		from = number
	}
	return from + " to " + to
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// plain makes foreign text harmless on a terminal: what would move the cursor,
// turn the direction of writing or is no text at all is written out.
func plain(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// clip shortens text to so many characters.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
