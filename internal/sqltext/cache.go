package sqltext

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	// maxCached bounds the texts that a Cache keeps, in bytes.
	maxCached = 4096
	// slotsCached is the number of texts that a Cache keeps.
	slotsCached = 4096
)

// Cache remembers the facts of texts: at most 4,096 texts of at most 4 kB each.
// The zero value is ready, and safe for concurrent use; it must not be copied.
// It has no lock: a text has two slots to be in, and a newcomer that finds both
// taken replaces what is in the first.
//
// It keeps texts as they are, with whatever literals are in them, in memory
// only.
type Cache struct {
	slots [slotsCached]atomic.Pointer[cached]
}

type cached struct {
	text  string
	facts Facts
}

// seed is the same for all caches of the process.
var seed = maphash.MakeSeed()

// Classify is like the package's Classify. A text that it has seen lately costs
// a hash and a comparison, and no allocation.
func (c *Cache) Classify(text string) Facts {
	if len(text) > maxCached {
		return Classify(text)
	}
	i := maphash.String(seed, text) % slotsCached
	first, second := c.slots[i].Load(), c.slots[i^1].Load()
	if first != nil && first.text == text {
		return first.facts
	}
	if second != nil && second.text == text {
		return second.facts
	}
	facts := Classify(text)
	if first != nil && second == nil {
		i ^= 1
	}
	c.slots[i].Store(&cached{text, facts})
	return facts
}

// recent is the process's cache: the same texts pass every layer.
var recent Cache

// Of returns text's facts, from memory if it was seen lately.
func Of(text string) Facts { return recent.Classify(text) }
