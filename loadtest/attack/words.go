package attack

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// share is three columns.
func share(s Share) string {
	if s.Of == 0 {
		return "-\t-\t-"
	}
	return fmt.Sprintf("%d of %d\t%s\t%s to %s", s.Count, s.Of, percent(s.Rate), percent(s.Low), percent(s.High))
}

// percent shows two digits that mean something where there are few.
func percent(share float64) string {
	digits := 1
	if share < 0.1 {
		digits = 2
	}
	return strconv.FormatFloat(100*share, 'f', digits, 64) + " %"
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// String says an outcome to people.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Blocked:
		return "blocked by the WAF"
	case Refused:
		return "refused by the parser"
	case Uninspected:
		return "refused, not inspected"
	case Unclear:
		return "answered otherwise"
	case Failed:
		return "not answered"
	}
	return string(o)
}

func duration(micros float64) string {
	d := time.Duration(micros * float64(time.Microsecond))
	if d < 10*time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

// request is quoted: what attacks a server may attack a terminal.
func request(e Entry) string {
	text := strconv.QuoteToGraphic(e.Request)
	if len(text) > widest {
		text = strings.ToValidUTF8(text[:widest-1], "") + `…"`
	}
	return text
}

// about is what is known of a sample besides what it is.
func about(e Entry) string {
	var words []string
	if e.Status != 0 {
		words = append(words, strconv.Itoa(e.Status))
	}
	if e.Why != "" {
		words = append(words, strconv.QuoteToGraphic(e.Why))
	}
	if e.Score > 0 {
		words = append(words, fmt.Sprintf("score %d", e.Score))
	}
	if len(e.Rules) > 0 {
		words = append(words, fmt.Sprintf("rules %s", numbers(e.Rules)))
	}
	if e.Location != "" {
		words = append(words, "at "+strconv.QuoteToGraphic(e.Location))
	}
	return strings.Join(words, " ")
}

func numbers(ids []int) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(id)
	}
	return strings.Join(words, ",")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

func abridged(names []string) string {
	if len(names) > mostListed {
		return strings.Join(names[:mostListed], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func verdict(v budget.Verdict) string {
	switch v {
	case budget.Holds:
		return "kept:"
	case budget.Exceeded:
		return "VIOLATED:"
	case budget.Undecided:
		return "undecided:"
	}
	return string(v)
}

func bound(g Gate) string {
	if g.What == "detection" {
		return "at least " + percent(g.Bound) + " of attacks are stopped"
	}
	return "at most " + percent(g.Bound) + " of benign requests are stopped"
}
