-- Imports: numbers or accounts by the file. A file waits in chunks until a worker has applied it, in
-- one transaction; so whatever happens to the worker, it is applied once or not at all.

CREATE TABLE provisioner.imports (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint REFERENCES provisioner.customers ON DELETE CASCADE,
    project_id  bigint NOT NULL REFERENCES provisioner.projects ON DELETE CASCADE,
    scope_project_id bigint REFERENCES provisioner.projects ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('numbers', 'accounts')),
    format      text NOT NULL CHECK (format IN ('csv', 'ndjson')),
    mode        text NOT NULL CHECK (mode IN ('all_or_nothing', 'good_rows')),
    recipient   text CHECK (recipient ~ '^age1[0-9a-z]+$'),
    status      text NOT NULL DEFAULT 'uploading' CHECK (status IN
                ('uploading', 'validating', 'applying', 'done', 'failed', 'cancelled')),
    progress    real NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    rows_total  bigint,
    rows_done   bigint NOT NULL DEFAULT 0,
    rows_bad    bigint NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    started_at  timestamptz,
    detail      text,
    actor       jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX imports_unfinished_idx ON provisioner.imports (id)
    WHERE status IN ('validating', 'applying');
-- Whose turn it is; the operator is customer 0 here.
CREATE INDEX imports_started_idx ON provisioner.imports (coalesce(customer_id, 0), started_at);
COMMENT ON COLUMN provisioner.imports.started_at IS 'the last time that a worker took it up';
COMMENT ON COLUMN provisioner.imports.customer_id IS 'who sees it; null: the operator alone';
COMMENT ON COLUMN provisioner.imports.project_id IS 'the project of lines that name none';
COMMENT ON COLUMN provisioner.imports.scope_project_id IS
    'the one project that its maker sees, and it reaches; null: all of the customer''s projects';
COMMENT ON COLUMN provisioner.imports.recipient IS
    'age public key that the new passwords are encrypted to; null: the accounts get none';
COMMENT ON COLUMN provisioner.imports.actor IS 'who asked for it: what he sees limits the import';

-- The file as it came, until the import is finished.
CREATE TABLE provisioner.import_chunks (
    import_id bigint NOT NULL REFERENCES provisioner.imports ON DELETE CASCADE,
    no        integer NOT NULL,
    content   bytea NOT NULL,
    PRIMARY KEY (import_id, no)
);

-- The parsed lines. They live within one transaction, which no crash of the database survives
-- either, so they need no log.
CREATE UNLOGGED TABLE provisioner.import_rows (
    import_id        bigint NOT NULL,
    line             bigint NOT NULL,
    bad              boolean NOT NULL,
    number           text,
    name             text,
    project_id       bigint NOT NULL,
    external_id      text,
    state            text,
    voice_channels   integer,
    tariff           text,
    cloudfire_only   boolean,
    allowed_networks text[],
    PRIMARY KEY (import_id, line)
);

-- What is wrong, line by line; the first 1,000, for the rest are counted only.
CREATE TABLE provisioner.import_errors (
    import_id bigint NOT NULL REFERENCES provisioner.imports ON DELETE CASCADE,
    line      bigint NOT NULL,
    field     text,
    detail    text NOT NULL
);
CREATE INDEX import_errors_line_idx ON provisioner.import_errors (import_id, line, field);

-- New passwords, encrypted before they came here, until they have been fetched.
CREATE TABLE provisioner.import_credentials (
    import_id bigint NOT NULL REFERENCES provisioner.imports ON DELETE CASCADE,
    no        integer NOT NULL,
    content   bytea NOT NULL,
    PRIMARY KEY (import_id, no)
);
COMMENT ON COLUMN provisioner.import_credentials.content IS 'a piece of a file in the age format';

-- The planner knows nothing of lines that came a moment ago, and only an owner may count them. The
-- lock that this takes is held until the import ends, so nobody waits for it: the planner then has
-- the counts of another import.
CREATE FUNCTION provisioner.analyze_import() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
AS 'ANALYZE (SKIP_LOCKED) provisioner.import_rows';
REVOKE ALL ON FUNCTION provisioner.analyze_import() FROM PUBLIC;

CREATE TRIGGER wake_worker AFTER INSERT OR UPDATE OF status ON provisioner.imports
    FOR EACH ROW WHEN (new.status = 'validating') EXECUTE FUNCTION provisioner.wake_worker();

GRANT SELECT, INSERT, UPDATE ON provisioner.imports TO provisioner;
GRANT SELECT, INSERT, DELETE ON provisioner.import_chunks, provisioner.import_errors,
    provisioner.import_credentials TO provisioner;
GRANT SELECT, INSERT, UPDATE, DELETE ON provisioner.import_rows TO provisioner;
GRANT EXECUTE ON FUNCTION provisioner.analyze_import() TO provisioner;
GRANT USAGE ON SEQUENCE provisioner.imports_id_seq TO provisioner;
