package wirecount

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// preciseThread gives the goroutine a thread of its own whose sleeps are not
// rounded by the kernel's timer slack (50 us by default). The function that it
// returns gives the thread back.
func preciseThread() func() {
	runtime.LockOSThread()
	// Without it the latency is some 50 us too long, which a caller can measure.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 restores the default
		runtime.UnlockOSThread()
	}
}

// sleepUntil sleeps in the kernel: the runtime's own timers wait in an
// epoll_wait that counts whole milliseconds, which would double a latency of one.
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		ts := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&ts, nil) // interrupted by a signal: the loop sleeps the rest
	}
}
