package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// longStep tells what takes long and cannot be counted, and how long it has taken.
type longStep struct {
	*progress
	file  func() string // that grows meanwhile, or nil
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex // guards what
	what string
}

// begin tells that a long step begins, until its end is called. What is told then goes
// on from there.
func (a *app) begin(what string, file func() string) *longStep {
	s := &longStep{progress: a.newProgress(""), what: what, file: file, stop: make(chan struct{})}
	if s.out == nil {
		return s
	}
	s.say()
	every := silence
	if s.bar {
		every = line
	}
	s.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.say()
			case <-s.stop:
				return
			}
		}
	})
	return s
}

// next tells that another step has begun.
func (s *longStep) next(what string) {
	s.mu.Lock()
	s.what = what
	s.mu.Unlock()
	if s.out != nil {
		s.say()
	}
}

func (s *longStep) end() {
	close(s.stop)
	s.ended.Wait()
	if s.bar && s.out != nil {
		fmt.Fprint(s.out, clearLine)
	}
}

func (s *longStep) say() {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.what
	if took := s.now().Sub(s.begun).Round(time.Second); took > 0 {
		text += ", " + took.String()
	}
	if s.file != nil {
		if info, err := os.Stat(s.file()); err == nil {
			text += ", " + bytesOf(info.Size()) + " so far"
		}
	}
	if s.bar {
		fmt.Fprint(s.out, clearLine+text)
		return
	}
	fmt.Fprintln(s.out, text)
}

// newestIn returns the function that finds the file of a folder that matches a pattern
// and was not there before.
func newestIn(dir, pattern string) func() string {
	before := map[string]bool{}
	for _, name := range matches(dir, pattern) {
		before[name] = true
	}
	return func() string {
		for _, name := range matches(dir, pattern) {
			if !before[name] {
				return filepath.Join(dir, name)
			}
		}
		return ""
	}
}

func matches(dir, pattern string) (names []string) {
	entries, _ := os.ReadDir(dir) // it is only to look
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names
}

// bytesOf returns a size as people read it.
func bytesOf(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit {
		size, prefix = size/unit, prefix+1
	}
	return fmt.Sprintf("%.1f %cB", size, "kMGTPE"[prefix])
}
