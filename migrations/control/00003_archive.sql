-- +goose Up
ALTER TABLE tenants
    -- How far the archiving of a tenant, or its restoring, has come ("phase", "run"),
    -- what it was before ("was"), and what the archive is. NULL: there is none; an
    -- archived tenant is one that a Delete has not finished then.
    ADD COLUMN archive jsonb CHECK (jsonb_typeof(archive) = 'object');

CREATE INDEX tenants_archive_idx ON tenants (id) WHERE archive IS NOT NULL;
CREATE INDEX tenants_deleting_idx ON tenants (id) WHERE delete_after IS NOT NULL;

-- +goose Down
DROP INDEX tenants_archive_idx, tenants_deleting_idx;
ALTER TABLE tenants DROP COLUMN archive;
