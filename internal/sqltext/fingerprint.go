package sqltext

import (
	"strings"
	"sync/atomic"
)

const (
	// maxNormalised bounds a Print's text, in bytes.
	maxNormalised = 2048
	// slotsPrints is the number of normalised texts that the process keeps.
	slotsPrints = 4096
)

// Print is what statements that differ only in their values have in common.
type Print struct {
	// ID is FNV-1a (64 bits) of the whole normalised text: the same in every process
	// and version.
	ID uint64
	// Text is normalised: without literals, numbers, parameters and comments, of
	// which a ? is left; in lower case where PostgreSQL folds it; IN, ARRAY and VALUES lists
	// with their first element only. It is valid UTF-8 without control
	// characters; over 2 kB it is cut, and ends in "...".
	Text string
}

// Fingerprint returns the text's Print, from memory and without an allocation if
// the text was seen lately. Do not change it.
func Fingerprint(text string) *Print { return recent.fingerprint(text) }

// NormalisedText returns the text of a fingerprint that was seen lately, empty if
// it is forgotten: the process keeps 4,096 of them.
func NormalisedText(id uint64) string {
	if p := prints.find(id); p != nil {
		return p.Text
	}
	return ""
}

func (c *Cache) fingerprint(text string) *Print {
	if len(text) > maxCached {
		return normalise(text)
	}
	known := c.of(text)
	p := known.print.Load()
	if p == nil {
		p = normalise(text)
		known.print.Store(p)
	}
	prints.keep(p)
	return p
}

// printTable keeps one Print for each fingerprint. As in a Cache, each has two
// slots to be in.
type printTable struct {
	slots [slotsPrints]atomic.Pointer[Print]
}

var prints printTable

func (t *printTable) find(id uint64) *Print {
	i := id % slotsPrints
	for _, i := range [2]uint64{i, i ^ 1} {
		if p := t.slots[i].Load(); p != nil && p.ID == id {
			return p
		}
	}
	return nil
}

// keep puts p back if another one took its slot.
func (t *printTable) keep(p *Print) {
	i := p.ID % slotsPrints
	first := t.slots[i].Load()
	if first == p {
		return
	}
	second := t.slots[i^1].Load()
	if second == p || first != nil && first.ID == p.ID || second != nil && second.ID == p.ID {
		return
	}
	if first != nil && second == nil {
		i ^= 1
	}
	t.slots[i].Store(p)
}

// normalise returns the one Print of the text's fingerprint.
func normalise(text string) *Print {
	n := normaliser{lexer: lexer{text: text}, sum: fnvOffset}
	n.out = n.buf[:0]
	n.run()
	if p := prints.find(n.sum); p != nil {
		return p
	}
	p := &Print{ID: n.sum, Text: strings.ToValidUTF8(string(n.out), "?")}
	if n.cut {
		p.Text = strings.ToValidUTF8(string(n.out), "") + "..."
	}
	prints.keep(p)
	return p
}
