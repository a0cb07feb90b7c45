package watch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of CPU times under /proc. USER_HZ is 100 on every
// architecture Go supports, whatever the kernel's own HZ is.
const tick = 10 * time.Millisecond

// A Stat is the part of /proc/PID/stat that the benchmark uses.
type Stat struct {
	// PID and Parent are process ids.
	PID, Parent int
	// User and System are CPU times since the process began, threads that have
	// ended included, in steps of 10 ms.
	User, System time.Duration
}

// ParseStat reads the text of /proc/PID/stat. The second field, the command's
// name in parentheses, may itself hold spaces and parentheses (proc(5)), so
// fields are counted from the last one that closes.
func ParseStat(text []byte) (Stat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("parse process stat %q: no command name", text)
	}
	rest := bytes.Fields(text[end+1:])
	// Numbered as in proc(5): rest[0] is field 3.
	const parent, utime, stime = 4 - 3, 14 - 3, 15 - 3
	if len(rest) <= stime {
		return Stat{}, fmt.Errorf("parse process stat %q: %d fields after the name", text, len(rest))
	}
	var values [4]int64
	for i, field := range [][]byte{bytes.TrimSpace(text[:open]), rest[parent], rest[utime], rest[stime]} {
		v, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil || v < 0 {
			return Stat{}, fmt.Errorf("parse process stat %q: bad number %q", text, field)
		}
		values[i] = v
	}
	return Stat{
		PID:    int(values[0]),
		Parent: int(values[1]),
		User:   time.Duration(values[2]) * tick,
		System: time.Duration(values[3]) * tick,
	}, nil
}

// ReadStat reads and parses /proc/PID/stat.
func ReadStat(pid int) (Stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, gone(pid, err)
	}
	return ParseStat(text)
}

// gone says what an absent file below /proc means. A file that was open when its
// process ended is read with ESRCH (proc(5)).
func gone(pid int, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("there is no process %d: %w", pid, err)
	}
	return fmt.Errorf("read about process %d: %w", pid, err)
}
