// Package policytool is what the policy commands of outrider do: it reads the
// documents, puts questions to the engine, and prints the answers. What is worth
// deciding is decided below authz, by pure functions; here are files, flags'
// values and text.
//
// Every file is read up to a bound, and nothing is guessed: a field that is not
// known is an error with its place, and no command changes a policy by itself.
package policytool
