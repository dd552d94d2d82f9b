-- +goose Up

-- Names and IDs are compared byte by byte (COLLATE "C"): keyset pages and
-- prefix searches must not depend on the database's locale.
CREATE TABLE shards (
    name         text COLLATE "C" PRIMARY KEY,
    region       text NOT NULL DEFAULT '',
    -- empty: the control database itself is the shard
    primary_dsn  text NOT NULL DEFAULT '',
    replica_dsns text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenants (
    id          text COLLATE "C" PRIMARY KEY,
    schema_name text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL
        CHECK (state IN ('provisioning', 'active', 'suspended', 'moving', 'archived')),
    tier        text COLLATE "C" NOT NULL,
    shard       text COLLATE "C" NOT NULL REFERENCES shards (name),
    region      text NOT NULL DEFAULT '',
    epoch       bigint NOT NULL DEFAULT 1,
    version     bigint NOT NULL DEFAULT 0,
    -- origin is also written on the schema that was made for this row, and
    -- tells it from a schema of the same name that somebody else made
    origin      text NOT NULL DEFAULT '',
    -- attempt grows when a crashed creation is taken over
    attempt     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_schema_key UNIQUE (shard, schema_name)
);

-- Each filter of a list with its keyset cursor.
CREATE INDEX tenants_state_idx ON tenants (state, id);
CREATE INDEX tenants_tier_idx ON tenants (tier, id);
CREATE INDEX tenants_shard_idx ON tenants (shard, id);

-- Every change is announced in its own transaction, whoever makes it: on the
-- channel named like the schema, "t:<tenant>", "s:<shard>", or "*" for all.

-- +goose StatementBegin
CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA, '*');
    ELSIF TG_TABLE_NAME = 'tenants' THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA, 't:' || coalesce(NEW.id, OLD.id));
    ELSE
        PERFORM pg_notify(TG_TABLE_SCHEMA, 's:' || coalesce(NEW.name, OLD.name));
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION announce();
CREATE TRIGGER announce_all AFTER TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON shards
    FOR EACH ROW EXECUTE FUNCTION announce();
CREATE TRIGGER announce_all AFTER TRUNCATE ON shards
    FOR EACH STATEMENT EXECUTE FUNCTION announce();

-- +goose Down
DROP TABLE tenants;
DROP TABLE shards;
DROP FUNCTION announce();
