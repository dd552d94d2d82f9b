-- +goose Up
ALTER TABLE tenants
    -- what the application wants to know of a tenant
    ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    -- when a tenant that is to be deleted may be; NULL: it is to stay
    ADD COLUMN delete_after timestamptz,
    -- what fills a new schema names itself here, so that a spare one is only
    -- taken by who would make the same
    ADD COLUMN recipe text COLLATE "C" NOT NULL DEFAULT '',
    DROP CONSTRAINT tenants_state_check,
    ADD CONSTRAINT tenants_state_check
        CHECK (state IN ('provisioning', 'spare', 'active', 'suspended', 'moving', 'archived'));

CREATE INDEX tenants_region_idx ON tenants (region, id);
-- Who lags behind a version; an up-to-date fleet is an empty range of it.
CREATE INDEX tenants_version_idx ON tenants (version, id);
CREATE INDEX tenants_attributes_idx ON tenants USING gin (attributes jsonb_path_ops);
CREATE INDEX tenants_spare_idx ON tenants (shard, recipe) WHERE state = 'spare';
CREATE INDEX tenants_delete_idx ON tenants (delete_after, id) WHERE delete_after IS NOT NULL;

-- Other names that lead to a tenant. Its former ID, and its former schema as
-- "shard/schema", lead there too: a process that has not heard of the change must
-- not take another tenant for it, so no other may have them.
CREATE TABLE names (
    kind   text COLLATE "C" NOT NULL CHECK (kind IN ('host', 'alias', 'id', 'schema')),
    name   text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL REFERENCES tenants (id) ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (kind, name)
);
CREATE INDEX names_tenant_idx ON names (tenant);

-- Every change of the tables above and of shards, in the change's own
-- transaction, whoever makes it.
CREATE TABLE events (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- tenant is '' where a shard was changed
    tenant  text COLLATE "C" NOT NULL,
    object  text COLLATE "C" NOT NULL CHECK (object IN ('tenant', 'name', 'shard')),
    action  text COLLATE "C" NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    -- the setting gormtenancy.actor, '' where nobody has set it
    actor   text NOT NULL,
    db_user text NOT NULL DEFAULT session_user,
    -- of an update, only what has changed
    before  jsonb NOT NULL,
    after   jsonb NOT NULL
);
CREATE INDEX events_tenant_idx ON events (tenant, id);

-- +goose StatementBegin
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    -- marks and clocks tell nothing; DSNs hold passwords
    silent CONSTANT text[] := '{origin,attempt,recipe,created_at,updated_at}';
    before jsonb := '{}';
    after  jsonb := '{}';
    whole  jsonb;
    object text := rtrim(TG_TABLE_NAME, 's');
BEGIN
    IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - silent; END IF;
    IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - silent; END IF;
    whole := before || after;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(jsonb_object_agg(key, before -> key), '{}'), coalesce(jsonb_object_agg(key, value), '{}')
            INTO before, after FROM jsonb_each(after) WHERE before -> key IS DISTINCT FROM value;
        IF after = '{}' THEN RETURN NULL; END IF;
    END IF;
    IF object = 'shard' THEN
        SELECT coalesce(jsonb_object_agg(key, CASE WHEN key LIKE '%dsn%' THEN '"(hidden)"' ELSE value END), '{}')
            INTO before FROM jsonb_each(before);
        SELECT coalesce(jsonb_object_agg(key, CASE WHEN key LIKE '%dsn%' THEN '"(hidden)"' ELSE value END), '{}')
            INTO after FROM jsonb_each(after);
    END IF;
    INSERT INTO events (tenant, object, action, actor, before, after)
    VALUES (CASE object WHEN 'tenant' THEN whole ->> 'id' WHEN 'name' THEN whole ->> 'tenant' ELSE '' END,
        object, lower(TG_OP), coalesce(current_setting('gormtenancy.actor', true), ''), before, after);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- A change of a column that this does not know and of the version at once must change
-- another that it knows.
CREATE FUNCTION only_version(was tenants, is_now tenants) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN was.version <> is_now.version AND coalesce(was.delete_after, 'infinity') = coalesce(is_now.delete_after, 'infinity')
    AND (was.id, was.schema_name, was.state, was.tier, was.shard, was.region, was.epoch, was.attributes)
    = (is_now.id, is_now.schema_name, is_now.state, is_now.tier, is_now.shard, is_now.region, is_now.epoch, is_now.attributes);

-- +goose StatementBegin
CREATE FUNCTION audit_versions() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (tenant, object, action, actor, before, after)
    SELECT id, 'tenant', 'update', coalesce(current_setting('gormtenancy.actor', true), ''),
        jsonb_build_object('version', b.version), jsonb_build_object('version', a.version)
    FROM old_rows b JOIN new_rows a USING (id)
    WHERE only_version(b, a);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Of a tenant that is renamed, both IDs.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA, '*');
        RETURN NULL;
    END IF;
    CASE TG_TABLE_NAME
    WHEN 'tenants' THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA, 't:' || coalesce(NEW.id, OLD.id));
        IF NEW.id <> OLD.id THEN PERFORM pg_notify(TG_TABLE_SCHEMA, 't:' || OLD.id); END IF;
    WHEN 'names' THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA, 'n:' || coalesce(NEW.kind, OLD.kind) || ':' || coalesce(NEW.name, OLD.name));
    ELSE
        PERFORM pg_notify(TG_TABLE_SCHEMA, 's:' || coalesce(NEW.name, OLD.name));
    END CASE;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON names
    FOR EACH ROW EXECUTE FUNCTION announce();
CREATE TRIGGER announce_all AFTER TRUNCATE ON names
    FOR EACH STATEMENT EXECUTE FUNCTION announce();
-- What migrates a fleet changes a hundred versions at a time and nothing else; those
-- are entered together, ten times as fast.
CREATE TRIGGER audit AFTER INSERT OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER audit_changes AFTER UPDATE ON tenants
    FOR EACH ROW WHEN (NOT only_version(OLD, NEW)) EXECUTE FUNCTION audit();
CREATE TRIGGER audit_versions AFTER UPDATE ON tenants
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_versions();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON names
    FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON shards
    FOR EACH ROW EXECUTE FUNCTION audit();

-- +goose Down
DROP TRIGGER audit ON shards;
DROP TRIGGER audit ON tenants;
DROP TRIGGER audit_changes ON tenants;
DROP TRIGGER audit_versions ON tenants;
DROP FUNCTION audit_versions();
DROP FUNCTION only_version(tenants, tenants);
DROP TABLE names;
DROP FUNCTION audit();
DROP TABLE events;
DELETE FROM tenants WHERE state = 'spare';
DROP INDEX tenants_region_idx, tenants_version_idx, tenants_spare_idx;
ALTER TABLE tenants DROP COLUMN attributes, DROP COLUMN delete_after, DROP COLUMN recipe,
    DROP CONSTRAINT tenants_state_check,
    ADD CONSTRAINT tenants_state_check CHECK (state IN ('provisioning', 'active', 'suspended', 'moving', 'archived'));
