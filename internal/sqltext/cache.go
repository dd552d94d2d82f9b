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

// Cache remembers the facts and the fingerprints of texts: at most 4,096 texts of
// at most 4 kB each. The zero value is ready, and safe for concurrent use; it must
// not be copied. It has no lock: a text has two slots to be in, and a newcomer that
// finds both taken replaces what is in the first.
//
// It keeps texts as they are, with whatever literals are in them, in memory
// only.
type Cache struct {
	slots [slotsCached]atomic.Pointer[cached]
}

type cached struct {
	text  string
	facts Facts
	print atomic.Pointer[Print] // nil until it was asked for
}

// seed is the same for all caches of the process.
var seed = maphash.MakeSeed()

// Classify is like the package's Classify. A text that it has seen lately costs
// a hash and a comparison, and no allocation.
func (c *Cache) Classify(text string) Facts {
	if len(text) > maxCached {
		return Classify(text)
	}
	return c.of(text).facts
}

// of returns what is remembered of a text that is not too long.
func (c *Cache) of(text string) *cached {
	i := maphash.String(seed, text) % slotsCached
	first, second := c.slots[i].Load(), c.slots[i^1].Load()
	if first != nil && first.text == text {
		return first
	}
	if second != nil && second.text == text {
		return second
	}
	if first != nil && second == nil {
		i ^= 1
	}
	made := &cached{text: text, facts: Classify(text)}
	c.slots[i].Store(made)
	return made
}

// recent is the process's cache: the same texts pass every layer.
var recent Cache

// Of returns text's facts, from memory if it was seen lately.
func Of(text string) Facts { return recent.Classify(text) }
