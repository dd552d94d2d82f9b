package registry

// CacheStats counts what the caches did since Open.
type CacheStats struct {
	// Entries and Unknown are the tenants, and the IDs known to be no
	// tenant's, that this process remembers.
	Entries, Unknown int
	// Hits and NegativeHits are the lookups that were answered from this
	// process's memory: with a tenant, and with tenant.ErrUnknown. Misses are
	// all others; those for the same ID at the same time asked together.
	Hits, NegativeHits, Misses uint64
	// StaleServed are the questions that the control plane did not answer and
	// that a remembered tenant served for.
	StaleServed uint64
	// Evictions are the entries that had to go because of Config.MaxEntries.
	Evictions uint64
	// Unreadable are the values from the shared level that were not believed.
	Unreadable uint64
	// Shared is Config.Cache's own count, the zero value without one.
	Shared SharedStats
}

// CacheStats returns the counts so far. They are read one after the other
// while the registry works, so that they need not add up exactly.
func (r *Registry) CacheStats() CacheStats {
	c := r.cache
	st := CacheStats{Misses: c.misses.Load(), StaleServed: c.stale.Load()}
	for i := range c.stripes {
		s := &c.stripes[i]
		st.Entries += s.known.ItemCount()
		st.Unknown += s.unknown.ItemCount()
		st.Hits += s.hits.Load()
		st.NegativeHits += s.negativeHits.Load()
		s.mu.Lock()
		st.Evictions += s.evictions
		s.mu.Unlock()
	}
	if r.shared != nil {
		st.Unreadable = r.shared.unreadable.Load()
		st.Shared = r.shared.cache.Stats()
	}
	return st
}
