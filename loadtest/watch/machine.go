package watch

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Busy is what the whole machine has spent since it booted.
type Busy struct {
	// Work is time in user, system and interrupt mode, over all processors.
	Work time.Duration
	// Steal is time a hypervisor gave to others while we wanted to run.
	Steal time.Duration
}

// ReadBusy reads /proc/stat.
func ReadBusy() (Busy, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Busy{}, fmt.Errorf("read machine stat: %w", err)
	}
	return parseBusy(text)
}

// parseBusy reads the first line of /proc/stat: "cpu user nice system idle
// iowait irq softirq steal …", in ticks.
func parseBusy(text []byte) (Busy, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return Busy{}, fmt.Errorf("parse machine stat %q: want the summary of all processors", line)
	}
	var ticks [9]int64
	for i := 1; i < len(ticks); i++ {
		v, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil || v < 0 {
			return Busy{}, fmt.Errorf("parse machine stat %q: bad number %q", line, fields[i])
		}
		ticks[i] = v
	}
	work := ticks[1] + ticks[2] + ticks[3] + ticks[6] + ticks[7]
	return Busy{Work: time.Duration(work) * tick, Steal: time.Duration(ticks[8]) * tick}, nil
}

// A Machine is what a reader needs to know about where numbers were taken.
type Machine struct {
	CPUModel string `json:"cpu_model"`
	CPUs     int    `json:"cpus"`
	Kernel   string `json:"kernel"`
	Arch     string `json:"arch"`
	Go       string `json:"go"`
	// MemoryBytes is the machine's main memory; zero when not known.
	MemoryBytes int64 `json:"memory_bytes"`
	// LoadAverage is the text of /proc/loadavg when the run began.
	LoadAverage string `json:"load_average"`
}

// DescribeMachine collects what can be found out; what cannot stays empty.
func DescribeMachine() Machine {
	m := Machine{
		CPUs:        runtime.NumCPU(),
		Kernel:      firstLine("/proc/sys/kernel/osrelease"),
		Arch:        runtime.GOARCH,
		Go:          runtime.Version(),
		LoadAverage: firstLine("/proc/loadavg"),
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPUModel = cpuModel(string(info))
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		// Only a description: a machine that does not say stays at zero.
		m.MemoryBytes, _ = parseKiB(info, "MemTotal")
	}
	return m
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
