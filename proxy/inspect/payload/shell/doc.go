// Package shell finds commands where a value is expected.
//
// A separator is only one if a command follows, and a command only if what follows
// it looks like an argument or nothing does: "apples; cat food" is neither. Words that
// are taken apart by quotes, backslashes, variables or braces are put together first,
// as a shell does. Whole scripts, such as those that jobs and containers are made of,
// have their own words, and count less: a shell runs them because it was told to.
package shell
