package ctl

import (
	"strings"
	"testing"
	"time"
)

// TestLimitsGet: what holds for a tenant is what its tier, its exception and the lane
// say together.
func TestLimitsGet(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex")
	get := func(id string) limitsOf {
		t.Helper()
		return document[limitsOf](t, l.do(codeDone, "limits", "get", id, "-o", "json"))
	}
	if v := get("acme"); v.LimitsOf != "" || string(v.Exception) != "null" || compact(v.InForce) != "{}" || v.QuarantinedUntil != nil {
		t.Errorf("without limits: %+v", v)
	}
	l.do(codeDone, "limits", "set", "--tier", "*", "concurrency=1")
	if v := get("acme"); v.LimitsOf != "*" || v.InForce.Concurrency != 1 {
		t.Errorf("%+v", v)
	}
	l.do(codeDone, "limits", "set", "--tier", "standard", "concurrency=4", "statement_timeout=5s", "statements_per_second=50")
	l.do(codeDone, "limits", "set", "--tenant", "acme", "concurrency=none", "rows_per_result=10")
	l.do(codeDone, "limits", "set", "--lane", "statements_per_second=5", "read_replicas_only=true")
	v := get("acme")
	if v.LimitsOf != "standard" || v.TierLimits.Concurrency != 4 || v.InForce.Concurrency != 0 || v.InForce.RowsPerResult != 10 || v.InForce.StatementBurst != 50 {
		t.Errorf("%+v", v)
	}
	l.do(codeDone, "tenant", "quarantine", "globex", "--trial")
	if v := get("globex"); v.QuarantinedUntil != nil || v.InForce.StatementsPerSecond != 50 {
		t.Errorf("a trial has an effect: %+v", v)
	}
	l.do(codeDone, "tenant", "quarantine", "acme")
	v = get("acme")
	if v.QuarantinedUntil == nil || time.Until(*v.QuarantinedUntil) <= 0 || v.InForce.StatementsPerSecond != 5 || v.InForce.RowsPerResult != 10 || !v.ReadReplicasOnly {
		t.Errorf("in quarantine: %+v", v)
	}
	golden(t, "limitsget.golden", stable(l.do(codeDone, "limits", "get", "acme").out))
	l.do(codeMissing, "limits", "get", "nobody")
	l.do(codeUsage, "limits", "get", "A!")
	l.do(codeUsage, "limits", "get")
}

// TestLimitKeys: every limit is one that limits set knows.
func TestLimitKeys(t *testing.T) {
	t.Parallel()
	keys := limitKeys()
	if len(keys) < 13 {
		t.Errorf("only %q", keys)
	}
	for _, key := range keys {
		value := "2"
		if strings.HasSuffix(key, "timeout") {
			value = "2s"
		}
		object, err := limitObject([]string{key + "=" + value})
		if err != nil {
			t.Fatal(err)
		}
		var target limitTarget
		target.tier = "free"
		if err := target.set(t.Context(), nil, object, true); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
