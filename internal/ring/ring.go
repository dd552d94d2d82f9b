package ring

import (
	"errors"
	"fmt"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// MaxMembers is the largest ring. Every member must own several of the
// partitions, or the bound on loads cannot be kept.
const MaxMembers = 256

const (
	// partitions is fixed: a key's partition must not depend on the members.
	// A prime, 16 or more for each of MaxMembers.
	partitions = 4099
	// points is how often a member stands on the circle.
	points = 40
	// maxLoad is the bound, relative to the average. It is the value of
	// "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup and
	// Zadimoghaddam, 2016) that keeps movement small.
	maxLoad = 1.25
)

var (
	// ErrEmpty says that a ring needs a member.
	ErrEmpty = errors.New("ring has no members: add a shard first")
	// ErrTooLarge says that there are more than MaxMembers members.
	ErrTooLarge = errors.New("ring has too many members")
)

// Ring is an immutable ring, safe for concurrent use.
type Ring struct{ hash *consistent.Consistent }

// New returns the ring of the given members. Order and repetition do not
// matter. The error is ErrEmpty, or wraps ErrTooLarge.
func New(members []string) (*Ring, error) {
	// The circle keeps one of two members whose points collide, whichever
	// comes last, so that a fixed order is part of being deterministic.
	names := slices.Compact(slices.Sorted(slices.Values(members)))
	switch {
	case len(names) == 0:
		return nil, ErrEmpty
	case len(names) > MaxMembers:
		return nil, fmt.Errorf("%w: %d, at most %d are allowed", ErrTooLarge, len(names), MaxMembers)
	}
	all := make([]consistent.Member, len(names))
	for i, n := range names {
		all[i] = member(n)
	}
	return &Ring{consistent.New(all, consistent.Config{
		Hasher: hasher{}, PartitionCount: partitions, ReplicationFactor: points, Load: maxLoad,
	})}, nil
}

// Propose returns the member for key.
func (r *Ring) Propose(key string) string {
	return string(r.hash.LocateKey([]byte(key)).(member))
}

type member string

// String is what the circle hashes, followed by the point's number. The
// separator keeps "eu-1", point 10, apart from "eu-11", point 0.
func (m member) String() string { return string(m) + "/" }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
