-- +goose Up

-- What tenants may take: by tier, exceptions of single tenants, and in quarantine. The
-- objects are those of quota.Limits.
CREATE TABLE tier_limits (
    tier       text COLLATE "C" PRIMARY KEY,
    limits     jsonb NOT NULL CHECK (jsonb_typeof(limits) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE tenant_limits (
    tenant     text COLLATE "C" PRIMARY KEY REFERENCES tenants (id) ON UPDATE CASCADE ON DELETE CASCADE,
    limits     jsonb NOT NULL CHECK (jsonb_typeof(limits) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE lanes (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    limits     jsonb NOT NULL CHECK (jsonb_typeof(limits) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The last quarantine of each tenant that was in one.
CREATE TABLE quarantines (
    tenant      text COLLATE "C" PRIMARY KEY REFERENCES tenants (id) ON UPDATE CASCADE ON DELETE CASCADE,
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    released_at timestamptz, -- by hand, before its end
    relapses    integer NOT NULL DEFAULT 0,
    dry_run     boolean NOT NULL,
    reason      text NOT NULL DEFAULT '',
    finding     jsonb
);
CREATE INDEX quarantines_until_idx ON quarantines (until);

-- How large a tenant's schema was when it was measured last.
CREATE TABLE sizes (
    tenant      text COLLATE "C" PRIMARY KEY REFERENCES tenants (id) ON UPDATE CASCADE ON DELETE CASCADE,
    bytes       bigint NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sizes_bytes_idx ON sizes (bytes DESC, tenant);

-- What tenants have used, added up by all processes: by minutes, and by hours. It
-- outlives the tenants, and keeps the ID that one had then.
CREATE TABLE usage (
    span        text COLLATE "C" NOT NULL CHECK (span IN ('minute', 'hour')),
    bucket      timestamptz NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    shard       text COLLATE "C" NOT NULL,
    reads       bigint NOT NULL,
    writes      bigint NOT NULL,
    ddl         bigint NOT NULL,
    others      bigint NOT NULL,
    errors      bigint NOT NULL,
    rows        bigint NOT NULL,
    replica     bigint NOT NULL,
    round_trips bigint NOT NULL,
    waits       bigint NOT NULL,
    commits     bigint NOT NULL,
    time_us     bigint NOT NULL,
    wait_us     bigint NOT NULL,
    PRIMARY KEY (span, bucket, tenant, shard)
) PARTITION BY LIST (span);
-- Apart, so that the planner knows each one's times; with room for what is added to
-- a row, which most are several times.
CREATE TABLE usage_minutes PARTITION OF usage FOR VALUES IN ('minute') WITH (fillfactor = 80);
CREATE TABLE usage_hours PARTITION OF usage FOR VALUES IN ('hour') WITH (fillfactor = 80);
CREATE INDEX usage_tenant_idx ON usage (tenant, span, bucket);

-- The last batch of usage of each process: one whose COMMIT was not answered is sent
-- again, and must not count twice.
CREATE TABLE usage_batches (
    process text COLLATE "C" PRIMARY KEY,
    number  bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

-- What the outlier detectors of the processes have found.
CREATE TABLE findings (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    process     text COLLATE "C" NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    shard       text COLLATE "C" NOT NULL,
    cause       text NOT NULL,
    evidence    text NOT NULL,
    magnitude   double precision NOT NULL,
    value       double precision NOT NULL,
    baseline    double precision NOT NULL,
    threshold   double precision NOT NULL,
    fingerprint bigint NOT NULL DEFAULT 0,
    query       text NOT NULL DEFAULT '',
    since       timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    closed_at   timestamptz,
    explanation jsonb
);
CREATE UNIQUE INDEX findings_open_key ON findings (process, tenant) WHERE closed_at IS NULL;
CREATE INDEX findings_tenant_idx ON findings (tenant, id);
CREATE INDEX findings_changed_idx ON findings (changed_at);

-- The processes that serve, and their connection pools.
CREATE TABLE processes (
    id         text COLLATE "C" PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    pools      jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX processes_seen_idx ON processes (seen_at);

ALTER TABLE events DROP CONSTRAINT events_object_check,
    ADD CONSTRAINT events_object_check CHECK (object IN ('tenant', 'name', 'shard', 'tier_limit', 'tenant_limit', 'lane', 'quarantine'));

-- As audit() and announce() do for the tables before.
-- +goose StatementBegin
CREATE FUNCTION audit_policy() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    before jsonb := '{}';
    after  jsonb := '{}';
    whole  jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - '{updated_at,one}'::text[]; END IF;
    IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - '{updated_at,one}'::text[]; END IF;
    whole := before || after;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(jsonb_object_agg(key, before -> key), '{}'), coalesce(jsonb_object_agg(key, value), '{}')
            INTO before, after FROM jsonb_each(after) WHERE before -> key IS DISTINCT FROM value;
        IF after = '{}' THEN RETURN NULL; END IF;
    END IF;
    INSERT INTO events (tenant, object, action, actor, before, after)
    VALUES (coalesce(whole ->> 'tenant', ''), rtrim(TG_TABLE_NAME, 's'), lower(TG_OP),
        coalesce(current_setting('gormtenancy.actor', true), ''), before, after);
    RETURN NULL;
END
$$;
CREATE FUNCTION announce_policy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, 'q:');
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tier_limits FOR EACH ROW EXECUTE FUNCTION audit_policy();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tenant_limits FOR EACH ROW EXECUTE FUNCTION audit_policy();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lanes FOR EACH ROW EXECUTE FUNCTION audit_policy();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON quarantines FOR EACH ROW EXECUTE FUNCTION audit_policy();
-- By row: a tenant that is renamed or deleted and has none of these is not worth a word,
-- and what every process reads anew then is large. Sizes are announced by who measures.
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON tier_limits FOR EACH ROW EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON tenant_limits FOR EACH ROW EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON lanes FOR EACH ROW EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON quarantines FOR EACH ROW EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce_all AFTER TRUNCATE ON tier_limits FOR EACH STATEMENT EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce_all AFTER TRUNCATE ON tenant_limits FOR EACH STATEMENT EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce_all AFTER TRUNCATE ON lanes FOR EACH STATEMENT EXECUTE FUNCTION announce_policy();
CREATE TRIGGER announce_all AFTER TRUNCATE ON quarantines FOR EACH STATEMENT EXECUTE FUNCTION announce_policy();

-- +goose Down
DROP TABLE processes, findings, usage_batches, usage, sizes, quarantines, lanes, tenant_limits, tier_limits;
DROP FUNCTION audit_policy();
DROP FUNCTION announce_policy();
DELETE FROM events WHERE object NOT IN ('tenant', 'name', 'shard');
ALTER TABLE events DROP CONSTRAINT events_object_check,
    ADD CONSTRAINT events_object_check CHECK (object IN ('tenant', 'name', 'shard'));
