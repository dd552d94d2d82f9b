package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// logins remembers the passwords of logins, which new connections need.
type logins struct {
	mu    sync.Mutex // never held while waiting
	known map[string]knownLogin
	gen   uint64 // counts what was forgotten: an answer of before is not remembered
}

type knownLogin struct {
	shard    string
	password tenant.Secret
	asked    time.Time
}

func (l *logins) get(name string) (knownLogin, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[name], l.gen
}

func (l *logins) put(name string, k knownLogin, gen uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen {
		return
	}
	if l.known == nil {
		l.known = map[string]knownLogin{}
	}
	l.known[name] = k
}

// expire makes all be asked for again. While the control plane is down, what is
// remembered still serves.
func (l *logins) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gen++
	for name, k := range l.known {
		k.asked = k.asked.Add(-time.Hour)
		l.known[name] = k
	}
}

// Login returns the password of a login, from memory if it was asked for within
// Config.TTL; resolver.Logins is made of it. The error wraps tenant.ErrNoRole if the
// shard has no such login, or tenant.ErrUnavailable.
func (r *Registry) Login(ctx context.Context, shard, login string) (tenant.Secret, error) {
	known, gen := r.logins.get(login)
	if known.shard == shard && time.Since(known.asked) < r.cfg.TTL {
		return known.password, nil
	}
	k := knownLogin{shard: shard, asked: time.Now()}
	query, cancel := context.WithTimeout(ctx, r.cfg.QueryTimeout)
	defer cancel()
	err := r.questions.QueryRow(query, r.sql.password, shard, login).Scan(&k.password)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", fmt.Errorf("%w: shard %s has no login %.64q", tenant.ErrNoRole, shard, login)
	case err != nil && known.shard == shard && ctx.Err() == nil:
		r.log.WarnContext(ctx, "tenant registry is unavailable, using a remembered login", "shard", shard, "error", err)
		return known.password, nil
	case err != nil:
		return "", failed(ctx, "read a login", err)
	}
	r.logins.put(login, k, gen)
	return k.password, nil
}
