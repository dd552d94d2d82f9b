-- +goose Up

-- Who logs in for a bucket of tenants in strict mode, and may do nothing but take on
-- their roles. Names are global to a PostgreSQL server, which several control planes
-- may share.
CREATE TABLE logins (
    name       text COLLATE "C" PRIMARY KEY,
    shard      text COLLATE "C" NOT NULL REFERENCES shards (name) ON DELETE CASCADE,
    password   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX logins_shard_idx ON logins (shard, created_at);

-- A tenant's roles are made ahead.
CREATE TABLE roles (
    name        text COLLATE "C" PRIMARY KEY,
    shard       text COLLATE "C" NOT NULL REFERENCES shards (name) ON DELETE CASCADE,
    login       text COLLATE "C" NOT NULL REFERENCES logins (name) ON DELETE CASCADE,
    -- making: it may not be on the shard yet. released: its tenant is gone, and
    -- processes may not have heard of it. spoiled: it held something after that.
    state       text COLLATE "C" NOT NULL DEFAULT 'making'
        CHECK (state IN ('making', 'free', 'used', 'released', 'spoiled')),
    released_at timestamptz
);
CREATE INDEX roles_login_idx ON roles (login);
CREATE INDEX roles_state_idx ON roles (shard, state, released_at) WHERE state <> 'used';

ALTER TABLE tenants
    -- empty: none
    ADD COLUMN role text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN login text COLLATE "C" NOT NULL DEFAULT '',
    ADD CONSTRAINT tenants_role_check CHECK ((role = '') = (login = ''));
CREATE UNIQUE INDEX tenants_role_key ON tenants (role) WHERE role <> '';
CREATE INDEX tenants_roleless_idx ON tenants (id) WHERE role = '';

-- +goose StatementBegin
CREATE FUNCTION take_role() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE roles SET state = 'used' WHERE name = NEW.role AND shard = NEW.shard AND login = NEW.login AND state = 'free';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role % is not free on shard %', NEW.role, NEW.shard;
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION release_role() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE roles SET state = 'released', released_at = now() WHERE name = OLD.role;
    RETURN NULL;
END
$$;
CREATE FUNCTION announce_login() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, 'l:' || OLD.name);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER release_role AFTER DELETE ON tenants
    FOR EACH ROW WHEN (OLD.role <> '') EXECUTE FUNCTION release_role();
CREATE TRIGGER release_former_role AFTER UPDATE OF role ON tenants
    FOR EACH ROW WHEN (OLD.role <> '' AND OLD.role <> NEW.role) EXECUTE FUNCTION release_role();
CREATE TRIGGER take_role AFTER INSERT ON tenants
    FOR EACH ROW WHEN (NEW.role <> '') EXECUTE FUNCTION take_role();
CREATE TRIGGER take_new_role AFTER UPDATE OF role ON tenants
    FOR EACH ROW WHEN (NEW.role <> '' AND OLD.role <> NEW.role) EXECUTE FUNCTION take_role();
CREATE TRIGGER announce AFTER UPDATE OR DELETE ON logins
    FOR EACH ROW EXECUTE FUNCTION announce_login();

-- +goose Down
DROP TRIGGER release_role ON tenants;
DROP TRIGGER release_former_role ON tenants;
DROP TRIGGER take_role ON tenants;
DROP TRIGGER take_new_role ON tenants;
DROP INDEX tenants_role_key, tenants_roleless_idx;
ALTER TABLE tenants DROP COLUMN role, DROP COLUMN login;
DROP TABLE roles;
DROP TABLE logins;
DROP FUNCTION take_role();
DROP FUNCTION release_role();
DROP FUNCTION announce_login();
