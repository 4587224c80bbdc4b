-- The desired state: what the operator and its customers asked for.

CREATE SCHEMA IF NOT EXISTS provisioner;

-- Every HA1 contains the realm, so it is chosen once and never changes by itself.
CREATE TABLE provisioner.installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    realm    text NOT NULL CHECK (char_length(realm) BETWEEN 1 AND 64)
);

CREATE TABLE provisioner.customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE provisioner.projects (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES provisioner.customers,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (customer_id, name)
);

-- The project of a token that names none.
WITH customer AS (INSERT INTO provisioner.customers (name) VALUES ('Default') RETURNING id)
INSERT INTO provisioner.projects (customer_id, name) SELECT id, 'Default' FROM customer;

-- Tokens are looked up by their SHA-256; the token itself is shown once and not kept.
CREATE TABLE provisioner.api_tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    role       text NOT NULL CHECK (role IN ('admin')),
    project_id bigint NOT NULL REFERENCES provisioner.projects,
    sha256     bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One sequence orders all changes; an account's generation is that of its last change.
CREATE SEQUENCE provisioner.generation;

CREATE TABLE provisioner.sip_accounts (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id     bigint NOT NULL REFERENCES provisioner.projects,
    name           text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    main_number    text NOT NULL CONSTRAINT sip_accounts_main_number_key UNIQUE,
    voice_channels integer NOT NULL CHECK (voice_channels BETWEEN 1 AND 1000),
    tariff         text NOT NULL CHECK (tariff IN ('pay_per_use', 'flat')),
    cloudfire_only boolean NOT NULL,
    state          text NOT NULL DEFAULT 'disabled'
                   CHECK (state IN ('disabled', 'enabled', 'linked_to_teams')),
    generation     bigint NOT NULL DEFAULT nextval('provisioner.generation'),
    created_at     timestamptz NOT NULL DEFAULT now(),
    changed_at     timestamptz NOT NULL DEFAULT now(),
    converged_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sip_accounts_name_key UNIQUE (project_id, name)
);
COMMENT ON COLUMN provisioner.sip_accounts.converged_at IS
    'when the last node confirmed this generation; says nothing while a node is pending';

-- account_id: the one account that uses the number, as its main or as an additional number.
CREATE TABLE provisioner.numbers (
    number     text PRIMARY KEY CHECK (number ~ '^\+[1-9][0-9]{6,14}$'),
    project_id bigint NOT NULL REFERENCES provisioner.projects,
    state      text NOT NULL CHECK (state IN ('ordered', 'porting', 'active', 'ceased')),
    account_id bigint REFERENCES provisioner.sip_accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, number)
);
CREATE INDEX numbers_project_idx ON provisioner.numbers (project_id, number);

-- The main number is one of the account's own numbers, from creation to deletion.
ALTER TABLE provisioner.sip_accounts
    ADD CONSTRAINT sip_accounts_main_number_linked FOREIGN KEY (id, main_number)
    REFERENCES provisioner.numbers (account_id, number) DEFERRABLE INITIALLY DEFERRED;

-- Digest secrets are stored as HA1 only (RFC 7616 section 3.4.2), MD5 and SHA-256.
CREATE TABLE provisioner.credentials (
    account_id bigint PRIMARY KEY REFERENCES provisioner.sip_accounts ON DELETE CASCADE,
    username   text NOT NULL CHECK (username ~ '^[0-9]{1,15}$'),
    realm      text NOT NULL CHECK (char_length(realm) BETWEEN 1 AND 64),
    ha1        text NOT NULL CHECK (ha1 ~ '^[0-9a-f]{32}$'),
    ha1_sha256 text NOT NULL CHECK (ha1_sha256 ~ '^[0-9a-f]{64}$'),
    rotated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (username, realm)
);

-- Networks that accounts share; each is a group in Kamailio's permissions module.
CREATE TABLE provisioner.networks (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    source_group integer NOT NULL UNIQUE CHECK (source_group > 0),
    generation   bigint NOT NULL DEFAULT nextval('provisioner.generation'),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    converged_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO provisioner.networks (name, source_group) VALUES ('cloudfire', 1);

CREATE TABLE provisioner.network_cidrs (
    network_id bigint NOT NULL REFERENCES provisioner.networks,
    cidr       cidr NOT NULL,
    PRIMARY KEY (network_id, cidr)
);

CREATE TABLE provisioner.nodes (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    rpc_url          text NOT NULL UNIQUE,
    state            text NOT NULL DEFAULT 'catching_up' CHECK (state IN ('up', 'catching_up', 'away')),
    started_at       timestamptz,
    last_seen_at     timestamptz,
    last_compared_at timestamptz,
    last_error       text
);
COMMENT ON COLUMN provisioner.nodes.started_at IS
    'when the Kamailio process that answers started; a new value is a restart';

-- What a node has yet to be told about a username. The row outlives the account, because a
-- deletion is told too, and the next account on the same number waits for it. It is deleted only
-- after the node confirmed twice: a REGISTER in flight may save a binding just after the first time.
CREATE TABLE provisioner.pending_kicks (
    node_id       bigint NOT NULL REFERENCES provisioner.nodes ON DELETE CASCADE,
    username      text NOT NULL,
    generation    bigint NOT NULL,
    drop_all      boolean NOT NULL,
    due_at        timestamptz NOT NULL DEFAULT now(),
    confirmed_at  timestamptz,
    PRIMARY KEY (node_id, username)
);
CREATE INDEX pending_kicks_due_idx ON provisioner.pending_kicks (node_id, due_at);
CREATE INDEX pending_kicks_username_idx ON provisioner.pending_kicks (username);
COMMENT ON COLUMN provisioner.pending_kicks.drop_all IS
    'true: every binding goes; false: those go that the account''s present state does not allow';
COMMENT ON COLUMN provisioner.pending_kicks.confirmed_at IS
    'when the node confirmed the first time; the row then waits for its second time';

-- Nodes that must load the allowlists again; any number of changes is one row.
CREATE TABLE provisioner.pending_reloads (
    node_id    bigint PRIMARY KEY REFERENCES provisioner.nodes ON DELETE CASCADE,
    generation bigint NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now()
);

-- What a comparison found different from the desired state, and put right.
CREATE TABLE provisioner.repairs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repaired_at timestamptz NOT NULL DEFAULT now(),
    node_id     bigint REFERENCES provisioner.nodes ON DELETE SET NULL,
    target      text NOT NULL CHECK (target IN ('subscriber', 'address', 'binding', 'allowlist')),
    action      text NOT NULL CHECK (action IN ('insert', 'update', 'delete', 'reload')),
    key         text NOT NULL,
    detail      text NOT NULL
);

CREATE FUNCTION provisioner.wake_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('provisioner_work', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER wake_worker AFTER INSERT OR UPDATE OF generation ON provisioner.pending_kicks
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.wake_worker();
CREATE TRIGGER wake_worker AFTER INSERT OR UPDATE OF generation ON provisioner.pending_reloads
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.wake_worker();

GRANT USAGE ON SCHEMA provisioner TO provisioner;
GRANT SELECT ON ALL TABLES IN SCHEMA provisioner TO provisioner;
GRANT INSERT ON provisioner.api_tokens, provisioner.repairs TO provisioner;
GRANT INSERT, UPDATE, DELETE ON
    provisioner.sip_accounts, provisioner.numbers, provisioner.credentials,
    provisioner.network_cidrs, provisioner.nodes, provisioner.pending_kicks,
    provisioner.pending_reloads TO provisioner;
GRANT UPDATE ON provisioner.networks TO provisioner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA provisioner TO provisioner;
