//go:build !linux

package main

import "time"

// processor is the processor time that was used so far.
type processor struct{ client, server time.Duration }

// processorTimes is known on Linux only.
func processorTimes() processor { return processor{} }
