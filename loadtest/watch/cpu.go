package watch

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is processor time, of one process or summed over several.
type CPU struct {
	// Total is exact to the nanosecond where the kernel offers the process's
	// CPU-time clock.
	Total time.Duration `json:"total_ns"`
	// User and System split the same time in steps of 10 ms, so their sum may
	// differ a little from Total.
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
}

// Sub returns the time spent between the earlier reading and c.
func (c CPU) Sub(earlier CPU) CPU {
	return CPU{Total: c.Total - earlier.Total, User: c.User - earlier.User, System: c.System - earlier.System}
}

// Add returns the sum of both.
func (c CPU) Add(other CPU) CPU {
	return CPU{Total: c.Total + other.Total, User: c.User + other.User, System: c.System + other.System}
}

// ReadCPU sums the CPU time of the processes since each of them began.
func ReadCPU(pids []int) (CPU, error) {
	var sum CPU
	for _, pid := range pids {
		stat, err := ReadStat(pid)
		if err != nil {
			return CPU{}, err
		}
		total, err := clock(pid)
		if err != nil {
			return CPU{}, err
		}
		sum = sum.Add(CPU{Total: total, User: stat.User, System: stat.System})
	}
	return sum, nil
}

// clock reads the CPU-time clock of a process: utime+stime of /proc/PID/stat
// before they are rounded down to ticks. A block of two seconds at a few per
// cent load is only some ticks long, so the rounding would show.
func clock(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3): the complement of the pid above three bits that
	// say "whole process, scheduler time" (CPUCLOCK_SCHED).
	const schedTime = 2
	var now unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedTime), &now); err != nil { //nolint:gosec // process ids end at 2^22 (proc(5))
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(now.Nano()), nil
}
