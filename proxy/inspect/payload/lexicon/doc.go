// Package lexicon reads a value once and says which kinds of bytes and which words
// of interest it has, so that detectors that can't find anything in it need not look.
//
// A pass costs a table look-up for each byte and one for each word, and allocates
// nothing; on most values between services it is all that is ever done.
package lexicon
