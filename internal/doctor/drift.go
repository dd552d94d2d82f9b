package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gormtenancy/gormtenancy/internal/structure"
)

// errReference says that the named reference was not read.
var errReference = errors.New("the tenant that is to be the reference was not examined: name one that is")

// drift compares the tenants of each version with that version's reference.
func (x *exam) drift(ctx context.Context) error {
	byVersion := map[int64][]*patient{}
	named := int64(-1)
	for _, p := range x.patients {
		if p.read {
			byVersion[p.version] = append(byVersion[p.version], p)
		}
		if p.read && x.opts.Reference == p.ID {
			named = p.version
		}
	}
	if x.opts.Reference != "" && named < 0 {
		return fmt.Errorf("tenant %.64q: %w", x.opts.Reference, errReference)
	}
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		all := byVersion[version]
		ref, err := x.reference(ctx, version, all, version == named)
		if err != nil {
			return err
		}
		x.compare(ref, all)
	}
	return nil
}

// reference finds what the tenants of a version are compared with.
func (x *exam) reference(ctx context.Context, version int64, all []*patient, named bool) (*Reference, error) {
	ref := &Reference{Version: version, Source: FromMajority, Tenants: len(all)}
	switch {
	case named:
		i := slices.IndexFunc(all, func(p *patient) bool { return p.ID == x.opts.Reference })
		ref.Source, ref.Tenant, ref.Fingerprint = FromTenant, x.opts.Reference, all[i].sum
		return ref, nil
	case x.opts.Set != nil && version != 0:
		s, err := x.sample(ctx, version, all)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			ref.Source, ref.Fingerprint = FromMigrations, s.Fingerprint()
			x.structures[ref.Fingerprint] = s
			return ref, nil
		}
		ref.Note = err.Error()
	}
	counts := map[string]int{}
	for _, p := range all {
		counts[p.sum]++
	}
	ref.Fingerprint = slices.MaxFunc(slices.Sorted(maps.Keys(counts)), func(a, b string) int { return cmp.Compare(counts[a], counts[b]) })
	return ref, nil
}

// sample plays the migrations up to a version, on the first shard that has a tenant of it
// and answers.
func (x *exam) sample(ctx context.Context, version int64, all []*patient) (s *structure.Structure, err error) {
	first := slices.MinFunc(all, func(a, b *patient) int {
		w, v := x.wards[a.Placement.Shard], x.wards[b.Placement.Shard]
		return cmp.Or(cmp.Compare(len(w.Error), len(v.Error)), cmp.Compare(w.Name, v.Name))
	})
	w := x.wards[first.Placement.Shard]
	config, err := x.reg.ShardConfig(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	err = x.opts.Set.Sample(ctx, config, version, x.opts.SearchPath, func(schema string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		r, err := structure.One(ctx, w.conn, schema)
		s = r.Structure
		return err
	})
	return s, err
}

// compare enters the findings.
func (x *exam) compare(ref *Reference, all []*patient) {
	want := x.structures[ref.Fingerprint]
	diffs := map[string][]structure.Difference{}
	for _, p := range all {
		if p.sum == ref.Fingerprint {
			ref.Alike++
			continue
		}
		d, known := diffs[p.sum]
		if !known {
			d = structure.Diff(want, x.structures[p.sum])
			diffs[p.sum] = d
		}
		f := p.about(Drift, fmt.Sprintf("%d differences from the reference of version %d", len(d), ref.Version),
			"write a migration that makes up for the differences, or undo by hand what was done by hand")
		f.Differences = d
		x.report.Findings = append(x.report.Findings, f)
	}
	x.report.References = append(x.report.References, *ref)
}
