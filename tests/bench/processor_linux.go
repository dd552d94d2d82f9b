package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processor is the processor time that was used so far.
type processor struct{ client, server time.Duration }

// tick is the unit of /proc/*/stat on Linux.
const tick = 10 * time.Millisecond

// processorTimes adds up this process and every living PostgreSQL process.
func processorTimes() (p processor) {
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		p.client = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(text), "(postgres)") {
			continue // it has ended, or is another program
		}
		// Behind the name: the third field is the first one here.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		for _, i := range []int{14 - 3, 15 - 3} {
			n, _ := strconv.Atoi(fields[i])
			p.server += time.Duration(n) * tick
		}
	}
	return p
}
