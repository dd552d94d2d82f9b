package pgscope

import "strconv"

// A prepared statement serves every tenant of its connection, and PostgreSQL
// plans it anew whenever the path has changed since: about half of a short
// read's time. So a text that one tenant runs again and again on a connection
// becomes a statement of that tenant's own there, by a comment in the text,
// which is pgx's key. Each costs the server about 10 kB, and one round trip
// once, so what runs seldom does not get it, and a connection has only so many
// until it retires.
const (
	hotAfter = 8    // uses on one connection
	hotLimit = 4096 // own statements of one connection
	hotSeen  = 8192 // pairs of tenant and text that are counted
	hotBytes = 4096 // longest text that is counted
)

type pair struct{ owner, text string }

type heat struct {
	uses int
	own  string // the tenant's own text, once it has one
}

// hot counts the uses of one connection's statements.
type hot struct {
	seen map[pair]*heat
	owns int
	// apart are the texts that tenants never share, see types.go.
	apart    map[string]struct{}
	allApart bool // there were too many to tell
}

// text returns the text to run for the scope: its own one if it is hot, and
// apart from other versions of the schema's.
func (h *hot) text(s Scope, text string) string {
	switch {
	case s.Owner == "":
		return versioned(text, s.Version)
	case h.isApart(text):
		return versioned(own(text, s.Owner), s.Version)
	case len(text) > hotBytes:
		return versioned(text, s.Version)
	}
	key := pair{s.Owner, text}
	u := h.seen[key]
	if u == nil {
		h.count(key)
		return versioned(text, s.Version)
	}
	if u.own != "" {
		return versioned(u.own, s.Version)
	}
	u.uses = min(u.uses+1, hotAfter)
	if u.uses == hotAfter && h.owns < hotLimit {
		u.own = own(key.text, key.owner)
		h.owns++
	}
	return versioned(text, s.Version)
}

// own is the text of a tenant's own statement. The owner is a tenant's ID:
// ParseID allows nothing that ends a comment.
func own(text, owner string) string { return text + "/*" + owner + "*/" }

// keepApart makes every tenant have a statement of its own for text.
func (h *hot) keepApart(text string) {
	if h.apart == nil {
		h.apart = map[string]struct{}{}
	}
	h.apart[text] = struct{}{}
	h.allApart = h.allApart || len(h.apart) > hotSeen
	if h.allApart {
		h.apart = nil
	}
}

func (h *hot) isApart(text string) bool {
	if h.allApart || len(h.apart) == 0 {
		return h.allApart
	}
	_, is := h.apart[text]
	return is
}

func (h *hot) count(key pair) {
	if h.seen == nil {
		h.seen = map[pair]*heat{}
	}
	for len(h.seen) >= hotSeen {
		h.age()
	}
	h.seen[key] = &heat{uses: 1}
}

// age makes room: it halves the counts, and forgets what came to nothing. Own
// statements stay, which are fewer than hotSeen.
func (h *hot) age() {
	for key, u := range h.seen {
		if u.own != "" {
			continue
		}
		if u.uses /= 2; u.uses == 0 {
			delete(h.seen, key)
		}
	}
}

// versioned keeps the plans of different versions of a schema apart.
func versioned(text string, version int64) string {
	if version == 0 {
		return text
	}
	return text + "/*v" + strconv.FormatInt(version, 10) + "*/"
}
