package pgscope

import (
	"fmt"
	"testing"
)

func TestHotTextsAreBounded(t *testing.T) {
	t.Parallel()
	var h hot
	a := Scope{Owner: "a"}
	for i := range hotAfter {
		if got := h.text(a, "select 1"); got != "select 1" {
			t.Fatalf("use %d: %s", i+1, got)
		}
	}
	if got := h.text(a, "select 1"); got != "select 1/*a*/" {
		t.Fatalf("hot: %s", got)
	}
	if got := h.text(Scope{Owner: "b"}, "select 1"); got != "select 1" {
		t.Fatalf("another tenant: %s", got)
	}
	if got := h.text(Scope{Owner: "a", Version: 4}, "select 1"); got != "select 1/*a*//*v4*/" {
		t.Fatalf("another version: %s", got)
	}
	for i := range 3 * hotLimit {
		for range hotAfter + 1 {
			h.text(a, fmt.Sprintf("select %d", i))
		}
		if h.owns > hotLimit || len(h.seen) > hotSeen {
			t.Fatalf("%d own statements, %d seen", h.owns, len(h.seen))
		}
	}
	for i := range 3 * hotSeen {
		h.text(a, fmt.Sprintf("select -%d", i))
		if len(h.seen) > hotSeen {
			t.Fatalf("%d seen", len(h.seen))
		}
	}
}
