package ctl

import (
	"testing"
	"time"
)

func TestGrace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "0d": 0, "1d12h": 36 * time.Hour, "720h": 720 * time.Hour, "0s": 0, "1d0s": day, "106751d": 106751 * day,
		"": -1, "d": -1, "-1d": -1, "+1d": -1, "1d-1h": -1, "-1h": -1, "1.5d": -1, "30": -1, "106752d": -1, "106751d24h": -1, "99999999999999999999d": -1, "1d1d": -1,
	} {
		g := &grace{}
		err := g.Set(text)
		if (err == nil) != (want >= 0) || err == nil && (g.Duration != want || g.String() != text) {
			t.Errorf("%q: %s, %v", text, g.Duration, err)
		}
	}
}
