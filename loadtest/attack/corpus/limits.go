package corpus

// Bounds of what is read. They are far above every corpus known: blazehttp has
// 33,669 samples, 170 MB in all, the longest of which has 573 kB.
const (
	// maxSample bounds one raw request, in bytes.
	maxSample = 8 << 20
	// maxLine bounds one JSON line, in bytes: a body of maxSample in base64, and
	// a head.
	maxLine = 12 << 20
	// maxTotal bounds the bytes of all samples together, which are held in
	// memory.
	maxTotal = 1 << 30
	// maxSamples bounds their number, and with it that of the files looked at.
	maxSamples = 1_000_000
	// maxFields bounds the header fields of one sample. Servers take 100; one that
	// has more tests just that.
	maxFields = 1000
	// maxTags bounds the tags of one sample: each is a row of a table.
	maxTags = 16
	// maxName bounds a tag and an ID, in bytes; they are printed.
	maxName = 256
	// maxProblems bounds those of one JSON line; nobody reads more.
	maxProblems = 8
)
