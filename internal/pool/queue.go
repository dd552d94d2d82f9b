package pool

import "container/list"

// queue holds those who wait: a line for each owner, served in turn.
type queue struct {
	lines map[string]*line
	ring  list.List // of *line, the next to be served in front
	n     int       // waiters
}

// line is one owner's waiters, first come first served.
type line struct {
	waiters list.List // of *waiter
	at      *list.Element
}

// waiter is told once, through ch.
type waiter struct {
	claim Claim
	ch    chan grant // with room for one
	at    *list.Element
}

// grant is what a waiter is told: a connection, a place for one (a Conn without a
// Session), or an error.
type grant struct {
	c   *Conn
	err error
}

func (q *queue) waiting(owner string) int {
	if l := q.lines[owner]; l != nil {
		return l.waiters.Len()
	}
	return 0
}

func (q *queue) add(claim Claim) *waiter {
	w := &waiter{claim: claim, ch: make(chan grant, 1)}
	l := q.lines[claim.Owner]
	if l == nil {
		if q.lines == nil {
			q.lines = map[string]*line{}
		}
		l = &line{}
		l.at = q.ring.PushBack(l)
		q.lines[claim.Owner] = l
	}
	w.at = l.waiters.PushBack(w)
	q.n++
	return w
}

// remove takes w out, unless it was told already.
func (q *queue) remove(w *waiter) {
	l := q.lines[w.claim.Owner]
	if w.at == nil || l == nil {
		return
	}
	l.waiters.Remove(w.at)
	w.at = nil
	q.n--
	if l.waiters.Len() == 0 {
		q.ring.Remove(l.at)
		delete(q.lines, w.claim.Owner)
	}
}

// next removes the first waiter of the first owner whose turn it is and whose claim
// is allowed, or returns nil.
func (q *queue) next(allowed func(Claim) bool) *waiter {
	for e := q.ring.Front(); e != nil; e = e.Next() {
		l := e.Value.(*line)
		if w := l.waiters.Front().Value.(*waiter); allowed(w.claim) {
			q.ring.MoveToBack(e)
			q.remove(w)
			return w
		}
	}
	return nil
}

// drain removes all.
func (q *queue) drain() (all []*waiter) {
	for e := q.ring.Front(); e != nil; e = e.Next() {
		for f := e.Value.(*line).waiters.Front(); f != nil; f = f.Next() {
			w := f.Value.(*waiter)
			w.at = nil
			all = append(all, w)
		}
	}
	*q = queue{}
	return all
}

// appetite counts, up to most, the waiters that could use a place each now: lane is
// how many more the lane takes, held how many an owner has.
func (q *queue) appetite(most, lane int, held func(owner string) int) (n int) {
	for e := q.ring.Front(); e != nil && n < most; e = e.Next() {
		l := e.Value.(*line)
		claim, could := l.waiters.Front().Value.(*waiter).claim, l.waiters.Len()
		if claim.Conns > 0 {
			could = min(could, max(claim.Conns-held(claim.Owner), 0))
		}
		if claim.Lane {
			could = min(could, lane)
			lane -= could
		}
		n += could
	}
	return min(n, max(most, 0))
}
