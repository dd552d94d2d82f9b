package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// patient is a tenant under examination.
type patient struct {
	registry.Entry
	oid     uint32 // of its schema, 0 if it is not where it ought to be
	read    bool
	wanted  bool
	sum     string // its structure's fingerprint
	version int64  // its own
}

// exam is one examination under way.
type exam struct {
	reg      *registry.Registry
	opts     Options
	report   *Report
	wards    map[string]*ward // by shard
	patients []*patient
	named    map[tenant.ID]bool // that are wanted
	unseen   int                // shards that were not to be examined
	numbered []int64            // versions that schemas need not tell

	// mu guards what follows while shards are read, and orders the calls of Progress.
	mu         sync.Mutex
	structures map[string]*structure.Structure // by fingerprint
	done       int
	total      int
	unreadable int
}

// Examine looks at every tenant of a registry on every shard. The report is nil only if
// the registry itself could not be read, or the options contradict each other. The error
// is a *PartialError if not everything could be seen.
func Examine(ctx context.Context, reg *registry.Registry, o Options) (*Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	x := &exam{
		reg: reg, opts: o, report: &Report{Shards: []Shard{}, References: []Reference{}, Findings: []Finding{}}, wards: map[string]*ward{}, named: map[tenant.ID]bool{}, structures: map[string]*structure.Structure{},
	}
	if err := x.run(ctx); err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	for _, w := range x.wards {
		x.report.Shards = append(x.report.Shards, w.Shard)
	}
	x.report.sort()
	x.report.Seconds = since(begun)
	return x.report, x.verdict()
}

func (x *exam) run(ctx context.Context) error {
	shards, err := x.reg.Shards(ctx)
	if err != nil {
		return err
	}
	if x.numbered, err = x.reg.RecipeVersions(ctx); err != nil {
		return err
	}
	for _, s := range shards {
		if len(x.opts.Shards) == 0 || slices.Contains(x.opts.Shards, s.Name) {
			x.wards[s.Name] = newWard(x, s.Name)
		} else {
			x.unseen++
		}
	}
	defer x.close(ctx)
	x.each(func(w *ward) error { return w.list(ctx) })
	// The rows come after the schemas: a creation enters its row first.
	if err := x.admit(ctx); err != nil {
		return err
	}
	x.place()
	x.each(func(w *ward) error { return w.read(ctx) })
	if err := ctx.Err(); err != nil {
		return err
	}
	x.versions()
	if err := x.confirm(ctx); err != nil {
		return err
	}
	if err := x.drift(ctx); err != nil {
		return err
	}
	if x.opts.Only != nil {
		x.report.Findings = slices.DeleteFunc(x.report.Findings, func(f Finding) bool { return !x.named[f.Tenant] })
	}
	return nil
}

// wants reports whether a tenant is selected.
func (x *exam) wants(t tenant.Tenant) bool {
	return (x.opts.Only == nil || x.opts.Only(t)) && (len(x.opts.Shards) == 0 || slices.Contains(x.opts.Shards, t.Placement.Shard))
}

// each does the same on all shards that have not failed, beside each other.
func (x *exam) each(fn func(*ward) error) {
	var g errgroup.Group
	for _, w := range x.wards {
		if w.err == nil {
			g.Go(func() error {
				w.fail(fn(w))
				return nil
			})
		}
	}
	_ = g.Wait() // its functions return none
}

func (x *exam) close(ctx context.Context) {
	for _, w := range x.wards {
		w.close(ctx)
	}
}

// admit reads the registry's rows.
func (x *exam) admit(ctx context.Context) error {
	f := registry.EntryFilter{Limit: registry.MaxLimit}
	for {
		page, err := x.reg.Entries(ctx, f)
		if err != nil {
			return err
		}
		for _, e := range page {
			p := &patient{Entry: e}
			x.patients = append(x.patients, p)
			p.wanted = x.wants(e.Tenant)
			if p.wanted {
				x.report.Tenants++
				if e.State == tenant.StateArchived {
					x.report.Archived++
				}
				x.named[e.ID] = true
			}
			if w := x.wards[e.Placement.Shard]; w != nil {
				if p.wanted {
					w.Tenants++
				}
				w.bySchema[e.Schema] = p
			}
		}
		if len(page) < f.Limit {
			return nil
		}
		f.After = page[len(page)-1].ID
	}
}

// took enters what was read of a tenant.
func (x *exam) took(w *ward, all []structure.Read) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range all {
		p := w.bySchema[r.Schema.Name]
		if r.Structure == nil || p == nil || p.oid != r.OID {
			continue
		}
		p.read, p.sum, p.version = true, r.Structure.Fingerprint(), p.Version
		if r.Structure.Versioned() {
			p.version = r.Version
		}
		if x.structures[p.sum] == nil {
			x.structures[p.sum] = r.Structure
		}
		if p.wanted {
			w.Examined++
			x.report.Examined++
		}
		w.versioned[p.ID] = r.Structure.Versioned()
	}
	x.done += len(all)
	if x.opts.Progress != nil {
		x.opts.Progress(Progress{Shard: w.Name, Done: x.done, Total: x.total})
	}
}

func (x *exam) find(f Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Findings = append(x.report.Findings, f)
}

// about begins a finding about a tenant.
func (p *patient) about(k Kind, detail, remedy string) Finding {
	return Finding{Kind: k, Tenant: p.ID, Shard: p.Placement.Shard, Schema: p.Schema, Registered: p.Version, Version: p.version, Detail: detail, Remedy: remedy}
}

// versions compares what tenants and the registry say.
func (x *exam) versions() {
	target := x.opts.Target
	for _, p := range x.patients {
		if target < p.version && x.opts.Target == 0 {
			target = p.version
		}
	}
	x.report.Target = target
	for _, p := range x.patients {
		if !p.read {
			continue
		}
		own := x.wards[p.Placement.Shard].versioned[p.ID]
		switch {
		case own && p.version != p.Version:
			f := p.about(VersionMismatch, fmt.Sprintf("the registry says version %d, and its own goose table %d", p.Version, p.version),
				fmt.Sprintf("register version %d", p.version))
			f.Fixable = p.State != tenant.StateMoving
			x.find(f)
		case !own && p.Version != 0 && !slices.Contains(x.numbered, p.Version):
			x.find(p.about(Unversioned, fmt.Sprintf("the registry says version %d, and its schema has no table %s", p.Version, structure.VersionTable),
				"restore the table, or have goose make it and enter the versions that the schema has, then examine again"))
		}
		if p.version < target {
			x.find(p.about(Behind, fmt.Sprintf("it has version %d of %d", p.version, target), "migrate it: tenantctl migrate up, or migrations.Run in the application"))
		}
	}
}

func (x *exam) verdict() error {
	e := &PartialError{Report: x.report, Shards: map[string]error{}, Unreadable: x.unreadable}
	for name, w := range x.wards {
		if w.err != nil {
			e.Shards[name] = w.err
		}
	}
	if len(e.Shards) == 0 && e.Unreadable == 0 {
		return nil
	}
	return e
}
