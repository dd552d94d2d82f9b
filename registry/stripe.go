package registry

import (
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// stripe is the part of a cache that holds some of the IDs.
type stripe struct {
	// known holds *entry by ID, as many as clock has places. unknown holds an
	// error by ID. Both are read without mu.
	known, unknown *gocache.Cache

	hits, negativeHits atomic.Uint64

	// mu makes "compare gen, then store" one step against "count gen up, then
	// delete". It guards what is below, and every change of known. Nothing
	// waits while it is held.
	mu sync.Mutex
	// gen counts the invalidations.
	gen uint64
	// clock has a place for each entry. hand goes round it to find one that
	// was not used since it came by. free are the places below len(clock)
	// that are empty.
	clock     []*entry
	hand      int
	free      []int
	size      int // the most places
	evictions uint64

	_ [64]byte // the next stripe's counters are on another cache line
}

// entry is a remembered tenant. Only its atomic fields change once it is in a
// stripe, and place, which is the stripe's.
type entry struct {
	tenant.Tenant
	until atomic.Int64 // it is believed till then; Unix nanoseconds
	end   int64        // it serves till then while the control plane is down
	used  atomic.Bool
	place int
}

func (s *stripe) init(size int, negativeTTL time.Duration) {
	s.size = size
	// No janitor: its goroutine could not be stopped. Registry.sweep does its
	// work. An entry's times are its own.
	s.known = gocache.New(gocache.NoExpiration, 0)
	s.unknown = gocache.New(negativeTTL, 0)
}

func (s *stripe) entry(id tenant.ID) *entry {
	v, ok := s.known.Get(string(id))
	if !ok {
		return nil
	}
	return v.(*entry)
}

// get returns what is believed of id, both nil if nothing is.
func (s *stripe) get(id tenant.ID) (*tenant.Tenant, error) {
	if e := s.entry(id); e != nil && time.Now().UnixNano() < e.until.Load() {
		// Mostly it is set, and a read does not take the line from others.
		if !e.used.Load() {
			e.used.Store(true)
		}
		return &e.Tenant, nil
	}
	if v, ok := s.unknown.Get(string(id)); ok {
		return nil, v.(error)
	}
	return nil, nil
}

// now returns the generation that a later store must name.
func (s *stripe) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gen
}

// store runs put unless an invalidation came after gen.
func (s *stripe) store(gen uint64, put func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == gen {
		put()
	}
}

func (s *stripe) invalidate(id tenant.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.remove(id)
	s.unknown.Delete(string(id))
}

func (s *stripe) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.known.Flush()
	s.unknown.Flush()
	s.clock, s.free, s.hand = nil, nil, 0
}

// add enters e. mu is held.
func (s *stripe) add(e *entry) {
	if old := s.entry(e.ID); old != nil {
		e.place = old.place
		e.used.Store(old.used.Load())
	} else {
		e.place = s.vacate()
	}
	s.clock[e.place] = e
	s.known.Set(string(e.ID), e, gocache.NoExpiration)
}

// vacate returns a place for one more entry. mu is held.
func (s *stripe) vacate() int {
	if n := len(s.free); n > 0 {
		place := s.free[n-1]
		s.free = s.free[:n-1]
		return place
	}
	if len(s.clock) < s.size {
		s.clock = append(s.clock, nil)
		return len(s.clock) - 1
	}
	// No place is empty here. Two rounds at most: the first takes the marks
	// off.
	for {
		place := s.hand
		s.hand = (s.hand + 1) % len(s.clock)
		if e := s.clock[place]; !e.used.Swap(false) {
			s.evictions++
			s.known.Delete(string(e.ID))
			return place
		}
	}
}

// remove drops id if it is there. mu is held.
func (s *stripe) remove(id tenant.ID) {
	e := s.entry(id)
	if e == nil {
		return
	}
	s.known.Delete(string(id))
	s.clock[e.place] = nil
	s.free = append(s.free, e.place)
}

// sweep drops what ended before now, in Unix nanoseconds.
func (s *stripe) sweep(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.clock {
		if e != nil && e.end < now {
			s.remove(e.ID)
		}
	}
}
