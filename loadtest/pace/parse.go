package pace

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a shape as people write it:
//
//	1000                 a thousand requests per second
//	100..2000@30s        from 100 to 2,000 within 30 s, then 2,000
//	100@10s,500@10s,200  steps; the last one goes on
func Parse(text string) (Shape, error) {
	if text == "" {
		return nil, fmt.Errorf("rate is empty; write 1000, 100..2000@30s or 100@10s,500@10s,200")
	}
	if strings.Contains(text, "..") {
		return parseRamp(text)
	}
	parts := strings.Split(text, ",")
	if len(parts) == 1 && !strings.Contains(text, "@") {
		r, err := parseRate(text)
		return Constant(r), err
	}
	steps := make(Steps, len(parts))
	for i, part := range parts {
		rate, length, timed := strings.Cut(part, "@")
		r, err := parseRate(rate)
		if err != nil {
			return nil, err
		}
		steps[i] = Step{Rate: r}
		switch {
		case timed:
			if steps[i].For, err = parseLength(length); err != nil {
				return nil, err
			}
		case i < len(parts)-1:
			return nil, fmt.Errorf("rate %q: step %d says not how long, as in %s@10s", text, i+1, part)
		}
	}
	return steps, nil
}

func parseRamp(text string) (Shape, error) {
	slope, length, timed := strings.Cut(text, "@")
	if !timed {
		return nil, fmt.Errorf("rate %q says not over how long, as in %s@30s", text, text)
	}
	from, to, _ := strings.Cut(slope, "..")
	var r Ramp
	var err error
	if r.From, err = parseRate(from); err != nil {
		return nil, err
	}
	if r.To, err = parseRate(to); err != nil {
		return nil, err
	}
	r.Over, err = parseLength(length)
	return r, err
}

func parseRate(text string) (float64, error) {
	r, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", text, errRate)
	}
	return r, checkRate(r)
}

func parseLength(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("rate: %q is not a time above zero, as 30s or 2m", text)
	}
	return d, nil
}
