package ring

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const keys = 20_000

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("eu-%d", i+1)
	}
	return all
}

func build(t testing.TB, members []string) *Ring {
	t.Helper()
	r, err := New(members)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func proposals(r *Ring) []string {
	got := make([]string, keys)
	for i := range got {
		got[i] = r.Propose(fmt.Sprintf("tenant-%d", i))
	}
	return got
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, members := range [][]string{nil, {}} {
		if _, err := New(members); !errors.Is(err, ErrEmpty) {
			t.Errorf("New(%v): %v, want ErrEmpty", members, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	if _, err := New(names(MaxMembers + 1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	build(t, names(MaxMembers)).Propose("acme")
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	members := names(7)
	want := proposals(build(t, members))
	slices.Reverse(members)
	if got := proposals(build(t, append(members, members[0]))); !slices.Equal(got, want) {
		t.Error("order or repetition of the members changed the proposals")
	}
}

// TestPinned: proposals may not change from one release to the next, since
// operators plan capacity by them.
func TestPinned(t *testing.T) {
	t.Parallel()
	r := build(t, []string{"eu-1", "eu-2", "us-1"})
	got := []string{r.Propose("acme"), r.Propose("globex"), r.Propose("initech"), r.Propose("umbrella")}
	want := []string{"us-1", "eu-1", "eu-1", "eu-2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBalance(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 5, 8, 13, 50} {
		count := map[string]int{}
		for _, m := range proposals(build(t, names(n))) {
			count[m]++
		}
		average := float64(keys) / float64(n)
		for m, c := range count {
			// 10% beside the bound on partitions, since keys are random; small
			// shares vary more.
			if limit := average*maxLoad*1.1 + 60; float64(c) > limit {
				t.Errorf("%d members: %s has %d of %d keys, at most %.0f are allowed", n, m, c, keys, limit)
			}
		}
		if len(count) != n {
			t.Errorf("%d members, only %d were proposed", n, len(count))
		}
	}
}

func TestLoadBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`), 1, 24, rapid.ID[string]).Draw(t, "members")
		r, err := New(members)
		if err != nil {
			t.Fatal(err)
		}
		limit := r.hash.AverageLoad()
		for m, load := range r.hash.LoadDistribution() {
			if load > limit {
				t.Fatalf("%s owns %.0f partitions, at most %.0f are allowed", m, load, limit)
			}
		}
	})
}

func TestMovement(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 5, 8, 16} {
		small, large := proposals(build(t, names(n))), proposals(build(t, names(n+1)))
		moved := 0
		for i := range small {
			if small[i] != large[i] {
				moved++
			}
		}
		// Read from the left a member came, from the right it went. Nothing
		// less than its share can move; hashing anew would move n/(n+1).
		if share := float64(keys) / float64(n+1); float64(moved) > 2*share {
			t.Errorf("%d members and one: %d of %d keys moved, the share is %.0f", n, moved, keys, share)
		}
	}
}

func BenchmarkPropose(b *testing.B) {
	r := build(b, names(8))
	b.ReportAllocs()
	for b.Loop() {
		r.Propose("acme")
	}
}
