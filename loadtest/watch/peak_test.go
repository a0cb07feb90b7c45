package watch_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

func TestPeakRemembersWhatWasGivenBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peaks are read from Linux's /proc")
	}
	pids := []int{os.Getpid()}
	if err := watch.ResetPeak(pids); err != nil {
		t.Skipf("this kernel resets no peak: %v", err)
	}
	before, err := watch.ReadPeak(pids)
	if err != nil || before <= 0 {
		t.Fatalf("the peak is %d (%v)", before, err)
	}
	const size = 64 << 20
	held := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		held[i] = 1
	}
	runtime.KeepAlive(held)
	after, err := watch.ReadPeak(pids)
	if err != nil || after < before+size/2 {
		t.Errorf("the peak is %d after %d bytes were touched, %d before (%v)", after, size, before, err)
	}
}

func TestPeakOfNobody(t *testing.T) {
	if _, err := watch.ReadPeak([]int{1 << 30}); err == nil {
		t.Error("a process that is not there has a peak")
	}
	if err := watch.ResetPeak([]int{1 << 30}); err == nil {
		t.Error("a process that is not there can be reset")
	}
}
