package watch

import (
	"fmt"
	"os"
)

// ReadPeak is the most resident memory that the processes have had, in bytes, summed
// although they need not have had it at the same time; since they began, or since
// ResetPeak.
func ReadPeak(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, gone(pid, err)
		}
		peak, err := parseKiB(status, "VmHWM")
		if err != nil {
			return 0, fmt.Errorf("process %d has ended, or is the kernel's: %w", pid, err)
		}
		sum += peak
	}
	return sum, nil
}

// ResetPeak makes what the processes have now their peak (proc_pid_clear_refs(5)).
func ResetPeak(pids []int) error {
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return fmt.Errorf("reset the peak of memory: %w", gone(pid, err))
		}
	}
	return nil
}
