// Package registry is the truth about tenants and shards: which exist, in what
// state, and where each one's schema lives. It keeps them in the control
// plane, one schema (by default "tenancy") of a PostgreSQL database, which Open
// prepares by itself.
//
// It promises that
//   - Lookup and Shard answer from memory and allocate nothing on a hit; Lookup
//     asks the database once however many callers miss at the same time;
//   - memory is bounded by Config.MaxEntries, however many tenants there are;
//   - Config.Cache, where one is given, answers before the control plane is
//     asked. What it says is checked like a row, and never waited for;
//   - a change made anywhere reaches every process over LISTEN/NOTIFY, within
//     Config.TTL where a notification was lost; after a reconnect nothing that
//     was cached before is believed, and a row that was read before a change
//     is not cached after it;
//   - with the control plane down, known tenants are served for
//     Config.StaleFor, and others fail with tenant.ErrUnavailable;
//   - Create leaves a tenant that serves, or nothing: it overwrites no schema,
//     undoes what it made, and a creation that died with its process is taken
//     up by the next one;
//   - no error and no log line holds a password.
//
// The states, and who moves a tenant between them:
//
//	            Create             Suspend
//	provisioning ────────> active ────────> suspended
//	                        │ ^ ^   Resume    │ ^ │
//	                 Delete │ │ └─────────────┼─│─┤
//	                        v │ Restore       v │ │ Archive, Delete
//	                     archived <───────────┴─│─┘
//	                        │ │ Restore         │
//	                 Delete │ └─────────────────┘
//	                        v
//	                     (no row)
//
// An archived tenant is one whose schema Archive has exported to a file and dropped,
// and that Restore makes what it was before, or one whose Delete has not finished.
// Archived and Filter.Restorable tell them apart. Archive suspends an active tenant
// first, and makes it active again if it fails.
//
// DeleteAfter suspends a tenant and notes when it is to be deleted, which the registry
// of any process does then (Config.DeleteEvery). Undelete takes it back until then;
// Resume and Restore refuse it.
//
// What fills a new schema is the provisioner (SetProvisioner), or SQL that does the same
// in the message that makes the schema (SetScript). A recipe (SetRecipe) names what both
// make, and says which version that is; see recipe.go.
//
// With Config.SpareTenants, tenants are made ahead (in the state spare, which only
// Filter.State shows) and Create gives one a name, in one round trip.
//
// Rename gives an active or suspended tenant another ID, RenameSchema a suspended
// one's schema another name; what it was called before stays its own. Hosts and
// aliases (AddName) lead to it whatever it is called.
//
// Every change of a tenant, a name, a shard or a limit is an event (Events) with its actor
// (WithActor), what was before and what is after, in the change's own transaction,
// whoever makes it.
//
// Copy is a Create that fills the new schema with what another tenant's has at one
// moment, and proves that it did. Abandon undoes a creation that a crash left behind.
//
// Adopt enters a schema that exists already as active. Each of Create, Copy, Adopt,
// Archive, Restore, Rename and Delete holds the tenant's advisory lock on the control
// database, but for a Create that takes a spare, which is one statement.
//
// With Config.Roles each tenant also gets a database role (Tenant.Role), which may use
// its schema's tables and sequences and owns nothing, and which strict mode runs its
// statements under. Roles are made ahead, 50 at a time, by the shard's user (CREATEROLE),
// as members of a login (Tenant.Login) that has at most 1,000 of them; their names are
// random, for a server may serve several control planes. What the shard's user makes in
// the schema later is granted as it is made; for what another user made, or a restored
// server that lacks roles, say EnsureRole. The login's password is in the control plane
// beside the shards' DSNs, the shard gets its SCRAM verifier, and no error, log line or
// event shows it. A role is used again an hour or more after its tenant was deleted, and
// only if the server knows of nothing that it holds:
//
//	making ──> free ──> used ──> released ──> free, or spoiled
//
// RemoveShard forgets a shard's roles; they stay on the server until dropped by hand.
//
// Limits (SetTierLimits, SetLimits, SetLane) and Quarantine are what a quota.Governor lives
// by: Policy reads all of them at once, and OnPolicyChange tells within milliseconds that
// some have changed, by whatever process. Each change is an event. At most so many of a
// shard's tenants are in quarantine at once, which the database decides.
//
// A Rollup adds what a process has counted to the fleet's usage, by minutes and by hours,
// each count once: also where a COMMIT was not answered, and as long as its buffer lasts
// where the control plane is away. Findings, processes with their pools, and sizes are
// told and read in the same place. Config.MeasureEvery, KeepMinutes and KeepHours say what
// is done with sizes and usage by itself; usage and findings stay under the ID that a
// tenant had then.
//
// It does not route statements, move tenants, or migrate their schemas, and it
// does not know GORM: what fills a new schema is the provisioner's business.
package registry
