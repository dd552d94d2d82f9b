package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestNames(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	other := open(t, Config{DSN: r.cfg.DSN})
	create(t, r, "acme")
	create(t, r, "globex")
	if _, err := other.LookupName(t.Context(), Host("shop.acme.example")); !errors.Is(err, tenant.ErrUnknown) {
		t.Fatalf("before: %v", err)
	}
	if err := r.AddName(t.Context(), "acme", Host("Shop.Acme.Example."), Alias("ACME Größe")); err != nil {
		t.Fatal(err)
	}
	if err := r.AddName(t.Context(), "acme", Alias("ACME Größe")); err != nil {
		t.Errorf("again: %v", err)
	}
	eventually(t, "the name on another process", func() bool {
		got, err := other.LookupName(t.Context(), Host("SHOP.acme.example"))
		return err == nil && got.ID == "acme"
	})
	if names := must(r.Names(t.Context(), "acme"))(t); len(names) != 2 || names[0] != Alias("ACME Größe") || names[1] != Host("shop.acme.example") {
		t.Errorf("%v", names)
	}
	// All or none.
	if err := r.AddName(t.Context(), "globex", Alias("fine"), Alias("ACME Größe")); !errors.Is(err, ErrNameTaken) {
		t.Errorf("taken: %v", err)
	}
	if _, err := r.LookupName(t.Context(), Alias("fine")); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("half of it: %v", err)
	}
	if err := r.AddName(t.Context(), "nobody", Alias("x")); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("of nobody: %v", err)
	}
	if err := r.RemoveName(t.Context(), Host("shop.acme.example")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal on another process", func() bool {
		_, err := other.LookupName(t.Context(), Host("shop.acme.example"))
		return errors.Is(err, tenant.ErrUnknown)
	})
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	for _, n := range []Name{
		{},
		Host(""), Host("a b"), Host("a..b"), Host("-a.b"), Host("a:80"), Host("bücher.example"), Host("boo\u212a.example"), Host("a\x00b"), Host(strings.Repeat("a", 64)),
		Host(strings.Repeat("a.", 200) + "a"), Alias(""), Alias("a\x00"), Alias("a\nb"), Alias("\xff"), Alias(strings.Repeat("x", 254)),
		FormerID("acme"),
		{kindSchema, "default/x"},
	} {
		if err := r.AddName(t.Context(), "acme", n); !errors.Is(err, ErrInvalidName) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := r.LookupHost(t.Context(), "-a.b"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("no host name at all: %v", err)
	}
	if _, err := r.LookupName(t.Context(), Host("a b")); !errors.Is(err, ErrInvalidName) {
		t.Errorf("lookup: %v", err)
	}
}

// A name that was known serves while the control plane is down.
func TestNamesWhileTheControlPlaneIsDown(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	if err := r.AddName(t.Context(), "acme", Alias("a")); err != nil {
		t.Fatal(err)
	}
	r.loops.Stop() // nothing is heard any more
	must(r.LookupName(t.Context(), Alias("a")))(t)
	l, _ := r.byName.get("alias:a")
	r.byName.entries.SetDefault("alias:a", lead{id: l.id}) // its time is over
	r.questions.Close()
	if got := must(r.LookupName(t.Context(), Alias("a")))(t); got.ID != "acme" {
		t.Errorf("%+v", got)
	}
	if _, err := r.LookupName(t.Context(), Alias("b")); !errors.Is(err, tenant.ErrUnavailable) {
		t.Errorf("one that was not known: %v", err)
	}
}
