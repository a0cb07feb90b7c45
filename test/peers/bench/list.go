package bench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A list is a flag of values separated by commas; the first use replaces the
// default.
type list[T any] struct {
	values []T
	parse  func(string) (T, error)
}

func (l *list[T]) String() string {
	words := make([]string, len(l.values))
	for i, v := range l.values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

func (l *list[T]) Set(text string) error {
	var values []T
	for word := range strings.SplitSeq(text, ",") {
		v, err := l.parse(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	l.values = values
	return nil
}

// bounded reads a number from low to high.
func bounded(low, high int) func(string) (int, error) {
	return func(word string) (int, error) {
		n, err := strconv.Atoi(word)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not a number from %d to %d", word, low, high)
		}
		return n, nil
	}
}

// named reads a name, which is known later.
func named(word string) (string, error) {
	if word == "" {
		return "", errors.New("a name is empty")
	}
	return word, nil
}

// oneOf reads one of some words.
func oneOf(words ...string) func(string) (string, error) {
	return func(word string) (string, error) {
		if !slices.Contains(words, word) {
			return "", fmt.Errorf("%q is none of %s", word, strings.Join(words, ", "))
		}
		return word, nil
	}
}
