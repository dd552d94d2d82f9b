package migrations

import (
	"context"
	"fmt"
)

// Standing is where a fleet stands, as the registry has it.
type Standing struct {
	Latest int64
	// Tenants counts them by version, Shards by shard and version.
	Tenants map[int64]int
	Shards  map[string]map[int64]int
	// Behind and Ahead count the tenants below and above Latest.
	Behind, Ahead int
}

// Status counts the tenants by version.
func Status(ctx context.Context, fleet Fleet, set *Set) (*Standing, error) {
	counts, err := fleet.Census(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	s := &Standing{Latest: set.Latest(), Tenants: map[int64]int{}, Shards: map[string]map[int64]int{}}
	for _, c := range counts {
		if s.Shards[c.Shard] == nil {
			s.Shards[c.Shard] = map[int64]int{}
		}
		s.Shards[c.Shard][c.Version] += c.Tenants
		s.Tenants[c.Version] += c.Tenants
		switch {
		case c.Version < s.Latest:
			s.Behind += c.Tenants
		case c.Version > s.Latest:
			s.Ahead += c.Tenants
		}
	}
	return s, nil
}
