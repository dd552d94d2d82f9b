package ctl

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// grace is a flag's value: a duration that may begin with days, such as 30d, 1d12h or
// 720h.
type grace struct {
	time.Duration
	text string // as it was given
}

const day = 24 * time.Hour

var errGrace = errors.New("want days or a duration that is not negative, such as 30d, 1d12h or 720h")

// Set reads the value.
func (g *grace) Set(text string) error {
	given, total := text, time.Duration(0)
	count, rest, days := strings.Cut(text, "d")
	if days {
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || n > math.MaxInt64/uint64(day) {
			return errGrace
		}
		total, text = time.Duration(n)*day, rest
	}
	if !days || text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > math.MaxInt64-total {
			return errGrace
		}
		total += d
	}
	g.Duration, g.text = total, given
	return nil
}

// String is empty unless the flag was given.
func (g *grace) String() string { return g.text }

// Type is what the help calls it.
func (g *grace) Type() string { return "duration" }
