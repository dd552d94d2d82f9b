// Package doctor examines a fleet of tenants: whether each one's schema is made as it
// ought to be, is where the registry says, and has the version that the registry says.
//
// It promises that
//   - Examine changes nothing but a schema of its own in which it plays the migrations,
//     dropped at the end;
//   - asked about some shards or tenants only, it tells of no others, and compares with
//     all that it can;
//   - only tenants of the same version are compared, by what their own goose table says,
//     or the registry where there is none;
//   - what looked wrong because somebody worked on it meanwhile is looked at again
//     before it is reported; what a schema itself tells, drift above all, is told as it
//     was seen, in one snapshot;
//   - a shard that does not answer, or a schema that cannot be read, is in the report
//     and in a *PartialError: nothing is passed over in silence;
//   - memory holds a row of each tenant and each structure once, not a structure of
//     each tenant;
//   - Fix mends what can be mended without losing anything, and looks again before it
//     does. For the rest each finding tells what would.
//
// What schemas are compared with is, in this order: the structure that the migrations
// make, a tenant that was named, or what most tenants of a version have.
//
// It does not drop schemas of tenants, but of those that never served, alter their
// tables, or move them.
package doctor
