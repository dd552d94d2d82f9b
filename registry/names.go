package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// The kinds of names, as the control plane's table names has them.
const (
	kindHost   = "host"
	kindAlias  = "alias"
	kindID     = "id"     // a former ID
	kindSchema = "schema" // a former schema, "shard/schema"
)

// maxName bounds a name, in bytes: a host name has at most 253.
const maxName = 253

// ErrInvalidName says that the text is no host name, or no alias.
var ErrInvalidName = errors.New("invalid name")

// Name is another name that leads to a tenant. It is made by Host, Alias or
// FormerID.
type Name struct{ kind, text string }

// Host is a host name, such as shop.example.com. Case and a last dot do not
// matter; names that are not ASCII are written in their ASCII form (xn--...).
func Host(name string) Name {
	// strings.ToLower would turn the Kelvin sign into a k.
	lower := strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, name)
	return Name{kindHost, strings.TrimSuffix(lower, ".")}
}

// Alias is any printable text of at most 253 bytes, such as a customer number. It
// is compared byte by byte.
func Alias(text string) Name { return Name{kindAlias, text} }

// FormerID is an ID that a tenant had before it was renamed.
func FormerID(id tenant.ID) Name { return Name{kindID, string(id)} }

// String returns kind and text.
func (n Name) String() string { return fmt.Sprintf("%s %.253q", n.kind, n.text) }

// Kind returns host, alias, id (a former one), or schema (a former one).
func (n Name) Kind() string { return n.kind }

// Text returns the name itself.
func (n Name) Text() string { return n.text }

func (n Name) check() error {
	printable := func(c rune) bool { return c >= ' ' && c != 0x7f && c != '\uFFFD' }
	switch {
	case n.text == "" || len(n.text) > maxName:
		return fmt.Errorf("%w: %s: want 1 to %d bytes", ErrInvalidName, n, maxName)
	case n.kind == kindAlias && strings.ContainsFunc(n.text, func(c rune) bool { return !printable(c) }):
		return fmt.Errorf("%w: %s: want printable characters", ErrInvalidName, n)
	case n.kind == kindHost && !isHost(n.text):
		return fmt.Errorf("%w: %s: want a host name of letters, digits, '-' and '.', without a port", ErrInvalidName, n)
	case n.kind == kindID:
		_, err := tenant.ParseID(n.text)
		return err
	case n.kind == "":
		return fmt.Errorf("%w: make it with Host, Alias or FormerID", ErrInvalidName)
	}
	return nil
}

func isHost(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' }) {
			return false
		}
	}
	return true
}

// AddName lets names lead to a tenant, all or none. A name that does already stays.
// The error wraps ErrInvalidName, ErrNameTaken, tenant.ErrInvalidID,
// tenant.ErrUnknown or tenant.ErrUnavailable.
func (r *Registry) AddName(ctx context.Context, id tenant.ID, names ...Name) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	for _, n := range names {
		if err := n.check(); err != nil {
			return err
		}
		if n.kind != kindHost && n.kind != kindAlias {
			return fmt.Errorf("%w: %s: only Rename makes those", ErrInvalidName, n)
		}
	}
	defer r.byName.flush()
	err := alterTx(ctx, r.questions, func(tx pgx.Tx) error {
		for _, n := range names {
			if err := r.addName(ctx, tx, id, n); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrNameTaken):
		return err
	case sqlState(err) == foreignKeyViolation:
		return unknown(id)
	case err != nil:
		return failed(ctx, "name tenant "+string(id), err)
	}
	return nil
}

func (r *Registry) addName(ctx context.Context, tx pgx.Tx, id tenant.ID, n Name) error {
	err := tx.QueryRow(ctx, r.sql.addName, n.kind, n.text, id).Scan(new(string))
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", n, ErrNameTaken)
	}
	return err
}

// RemoveName makes a name lead nowhere. It is no error if it did not lead
// anywhere. A former ID, once removed, can be given to another tenant; a process
// that has not heard of the renaming yet (Config.TTL, and while the control plane
// is down Config.StaleFor) would take that one's requests for the old one's.
func (r *Registry) RemoveName(ctx context.Context, n Name) error {
	if err := n.check(); err != nil {
		return err
	}
	defer r.byName.flush()
	err := alterTx(ctx, r.questions, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.sql.removeName, n.kind, n.text)
		return err
	})
	if err != nil {
		return failed(ctx, "remove "+n.String(), err)
	}
	return nil
}

// Names returns a tenant's names, by kind and text. The error wraps
// tenant.ErrInvalidID or tenant.ErrUnavailable.
func (r *Registry) Names(ctx context.Context, id tenant.ID) ([]Name, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return nil, err
	}
	rows, err := r.questions.Query(ctx, r.sql.names, id)
	if err != nil {
		return nil, failed(ctx, "list names", err)
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Name, err error) {
		err = row.Scan(&n.kind, &n.text)
		return n, err
	})
	if err != nil {
		return nil, failed(ctx, "list names", err)
	}
	return names, nil
}
