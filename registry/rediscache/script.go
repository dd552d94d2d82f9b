package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gormtenancy/gormtenancy/registry"
)

// generationLife is how long a generation outlives its last use.
const generationLife = 7 * 24 * time.Hour

// A token is 26 characters, which the scripts rely on.
func token() string { return rand.Text() }

// keys are a namespace's names in Redis. The braces put all of them on the
// same node where several share the work.
type keys struct{ generation, channel, entries string }

func newKeys(prefix, namespace string) keys {
	base := "{" + prefix + ":" + namespace + "}"
	return keys{base + ":generation", base + ":forget", base + ":"}
}

// get returns a value and the milliseconds that are left to it, or a lease.
//
// An entry is its generation, 'v' and the value, or its generation, 'l', a
// lease's token and milliseconds. One of another generation counts for
// nothing. A lease serves all who ask meanwhile, the first answer is taken.
//
// KEYS: generation, entry. ARGV: a new token, and milliseconds: a lease's,
// a generation's.
var get = redis.NewScript(`
local generation = redis.call('GET', KEYS[1])
if not generation then
	generation = ARGV[1]
	redis.call('SET', KEYS[1], generation, 'PX', ARGV[3])
end
local entry = redis.call('GET', KEYS[2])
if entry and string.sub(entry, 1, 26) == generation then
	if string.sub(entry, 27, 27) == 'v' then
		return {string.sub(entry, 28), redis.call('PTTL', KEYS[2]), ''}
	end
	return {false, 0, entry}
end
local lease = generation .. 'l' .. ARGV[1] .. ARGV[2]
redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
return {false, 0, lease}
`)

// set turns a lease into a value, if it still stands. The value's life began
// no later than the lease did, by the one clock that all processes share:
// however late this is done, the value is not believed for longer.
//
// KEYS: generation, entry. ARGV: lease, value, and milliseconds: a value's, a
// generation's.
var set = redis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('GET', KEYS[1]) ~= string.sub(ARGV[1], 1, 26) then
	return 0
end
local age = string.sub(ARGV[1], 54) - redis.call('PTTL', KEYS[2])
local life = ARGV[3] - age
if ARGV[2] == '' or life < 1 then
	redis.call('DEL', KEYS[2])
	return 0
end
redis.call('SET', KEYS[2], string.sub(ARGV[1], 1, 26) .. 'v' .. ARGV[2], 'PX', life)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`)

func (k keys) of(key string) []string { return []string{k.generation, k.entries + key} }

var errReply = errors.New("redis answered something unexpected: does another application use its keys?")

// load tells Redis the scripts, so that the first lookups need not.
func (c *Cache) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		get.Load(ctx, p)
		set.Load(ctx, p)
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the scripts: %w", err)
	}
	return nil
}

// ask runs get.
func (c *Cache) ask(ctx context.Context, key string) (registry.Cached, error) {
	reply, err := get.Run(ctx, c.client, c.keys.of(key),
		token(), c.cfg.Lease.Milliseconds(), generationLife.Milliseconds()).Slice()
	if err != nil {
		return registry.Cached{}, err
	}
	if len(reply) != 3 {
		return registry.Cached{}, errReply
	}
	left, ok := reply[1].(int64)
	lease, isText := reply[2].(string)
	if !ok || !isText {
		return registry.Cached{}, errReply
	}
	if value, ok := reply[0].(string); ok {
		return registry.Cached{Value: []byte(value), Left: time.Duration(left) * time.Millisecond}, nil
	}
	return registry.Cached{Lease: lease}, nil
}

// put is an answer that waits to be offered.
type put struct {
	key, lease string
	value      []byte
}

// offer runs set.
func (c *Cache) offer(ctx context.Context, p put) error {
	taken, err := set.Run(ctx, c.client, c.keys.of(p.key), p.lease, p.value,
		c.cfg.TTL.Milliseconds(), generationLife.Milliseconds()).Int()
	switch {
	case err != nil:
		return err
	case taken == 1:
		c.counters.stored.Add(1)
	case p.value != nil:
		c.counters.refused.Add(1)
	}
	return nil
}

// tell makes Redis forget what is in b.
func (c *Cache) tell(ctx context.Context, b batch) error {
	if !b.all && len(b.keys) == 0 {
		return nil
	}
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		if b.all {
			p.Set(ctx, c.keys.generation, token(), generationLife)
		}
		// An announcement comes after its key is gone: who hears it asks.
		for key, announce := range b.keys {
			p.Del(ctx, c.keys.entries+key)
			if announce {
				p.Publish(ctx, c.keys.channel, c.instance+key)
			}
		}
		return nil
	})
	return err
}
