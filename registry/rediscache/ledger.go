package rediscache

import "sync"

// maxUntold bounds the keys that wait. Beyond it, all are forgotten at once.
const maxUntold = 4096

// ledger is what Redis has still to be told to forget. Until it was told,
// what it says of these keys is not believed here.
type ledger struct {
	// due gets a value when something was entered.
	due chan struct{}

	// mu guards what is below. Nothing waits while it is held.
	mu   sync.Mutex
	last uint64 // counts the entries
	keys map[string]entry
	all  uint64 // the entry that asked to forget all keys, 0 if none did
}

type entry struct {
	n        uint64
	announce bool
}

// batch is what is told at once.
type batch struct {
	all  bool
	keys map[string]bool // whether to announce
	upTo uint64
}

func newLedger() *ledger {
	return &ledger{due: make(chan struct{}, 1), keys: map[string]entry{}}
}

func (l *ledger) add(key string, announce bool) {
	l.mu.Lock()
	l.last++
	old, ok := l.keys[key]
	switch {
	case !ok && len(l.keys) >= maxUntold:
		l.all = l.last
		clear(l.keys)
	default:
		l.keys[key] = entry{l.last, announce || old.announce}
	}
	l.mu.Unlock()
	l.wake()
}

func (l *ledger) addAll() {
	l.mu.Lock()
	l.last++
	l.all = l.last
	l.mu.Unlock()
	l.wake()
}

func (l *ledger) wake() {
	select {
	case l.due <- struct{}{}:
	default:
	}
}

// holds reports whether Redis has still to forget key.
func (l *ledger) holds(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.keys[key]
	return ok || l.all > 0
}

// next returns all that is due. It stays due until told.
func (l *ledger) next() batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := batch{all: l.all > 0, keys: make(map[string]bool, len(l.keys)), upTo: l.last}
	for key, e := range l.keys {
		b.keys[key] = e.announce
	}
	return b
}

// told takes off what b held and was not entered again since.
func (l *ledger) told(b batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all <= b.upTo {
		l.all = 0
	}
	for key := range b.keys {
		if l.keys[key].n <= b.upTo {
			delete(l.keys, key)
		}
	}
}
