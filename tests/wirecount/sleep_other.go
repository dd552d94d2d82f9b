//go:build !linux

package wirecount

import "time"

func preciseThread() func() { return func() {} }

func sleepUntil(due time.Time) { time.Sleep(time.Until(due)) }
