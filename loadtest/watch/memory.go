package watch

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory is resident memory in bytes, of one process or summed over several.
type Memory struct {
	// RSS counts every resident page; summed over several processes, pages they
	// share count once for each.
	RSS int64 `json:"rss_bytes"`
	// Anon is the part of RSS that no file backs: heap, stacks.
	Anon int64 `json:"anon_bytes"`
	// PSS divides shared pages among those who share them; zero where the
	// kernel does not tell.
	PSS int64 `json:"pss_bytes"`
}

// ReadMemory sums the resident memory of the processes.
func ReadMemory(pids []int) (Memory, error) {
	var sum Memory
	for _, pid := range pids {
		m, err := readMemory(pid)
		if err != nil {
			return Memory{}, err
		}
		sum.RSS += m.RSS
		sum.Anon += m.Anon
		sum.PSS += m.PSS
	}
	return sum, nil
}

func readMemory(pid int) (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, gone(pid, err)
	}
	var m Memory
	if m.RSS, err = parseKiB(status, "VmRSS"); err != nil {
		return Memory{}, fmt.Errorf("process %d has ended, or is the kernel's: %w", pid, err)
	}
	if m.Anon, err = parseKiB(status, "RssAnon"); err != nil {
		return Memory{}, err
	}
	// Another user's process keeps this file to itself; PSS is optional.
	if rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		if m.PSS, err = parseKiB(rollup, "Pss"); err != nil {
			return Memory{}, err
		}
	}
	return m, nil
}

// parseKiB finds the line "KEY:   123 kB" and returns its value in bytes.
func parseKiB(text []byte, key string) (int64, error) {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(key+":"))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, fmt.Errorf("parse memory line %q: want a number of kB", line)
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 53)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("parse memory line %q: bad number %q", line, fields[0])
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("parse memory of a process: no line %q", key)
}
