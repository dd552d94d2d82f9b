package main

// scenario is a fleet with what will happen to it, and for how long.
type scenario struct {
	*fleet
	injections []*injection
	warm       float64 // seconds, in which nothing is injected
	end        float64
}

// judged is an hour with 1% outliers, after half an hour, in a fleet to which
// all that must not be flagged happens as well.
func judged(seed uint64, tenants, shards int) *scenario {
	s := &scenario{fleet: newFleet(seed, tenants, shards), warm: 1800}
	r, begin := s.r, s.start+s.warm
	s.end = begin + 3600
	who := r.Perm(tenants)
	count := tenants / 100
	for i := range count {
		from := begin + r.uniform(0, 3600-600)
		k := kind((i + int(seed)) % int(numKinds))
		takes := 0.0
		if i == count-1 {
			k, takes = heavyAggregate, r.uniform(0.3, 0.6)
		}
		in := newInjection(r, k, s.customers[who[i]], from)
		in.takes = takes
		s.injections = append(s.injections, in)
	}
	s.distract(begin, s.end, 1, 1, who[count:])
	return s
}

// clean is a day without outliers, after an hour.
func clean(seed uint64, tenants, shards int, length float64) *scenario {
	s := &scenario{fleet: newFleet(seed, tenants, shards), warm: 3600}
	begin := s.start + s.warm
	s.end = begin + length
	s.distract(begin, s.end, 4*shards, shards, s.r.Perm(tenants))
	return s
}

// distract adds what looks like trouble and is nobody's fault.
func (s *scenario) distract(begin, end float64, deploys, maintenances int, who []int) {
	r := s.r
	at := func(t trouble, shortest, longest float64) {
		t.from = r.uniform(begin, end-longest)
		t.until = t.from + r.uniform(shortest, longest)
		server := s.servers[r.IntN(len(s.servers))]
		server.trouble = append(server.trouble, t)
	}
	for range deploys {
		at(trouble{slower: r.uniform(2, 5), rate: 1}, 60, 180)
		at(trouble{slower: 1, rate: 1, fails: r.uniform(0.1, 0.3)}, 10, 20)
	}
	for range maintenances {
		at(trouble{slower: 2, rate: 0.2}, 300, 600)
	}
	// From half a percent to two percent of the tenants each.
	group := func(n int) []int {
		n = min(max(1, n), len(who))
		g := who[:n]
		who = who[n:]
		return g
	}
	for _, i := range group(len(who) / 200) {
		s.customers[i].grows = r.uniform(begin, max(begin, end-growFor))
	}
	for _, i := range group(len(who) / 100) {
		s.customers[i].from = r.uniform(begin, end)
	}
	for _, i := range group(len(who) / 50) {
		c := s.customers[i]
		c.gone = r.uniform(begin, end)
		c.again = c.gone + r.logUniform(30, (end-begin)/2)
	}
}
