-- The whole life of an account: whose it is, who may touch it, what was done to it, which number it
-- presents, and where its calls go when nobody answers.

-- The portal's own key of an object; unique where the object is looked up by it.
ALTER TABLE provisioner.customers
    ADD COLUMN external_id text CHECK (char_length(external_id) BETWEEN 1 AND 120),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT customers_external_id_key UNIQUE (external_id),
    ADD CONSTRAINT customers_name_length CHECK (char_length(name) BETWEEN 1 AND 120);

ALTER TABLE provisioner.projects
    ADD COLUMN external_id text CHECK (char_length(external_id) BETWEEN 1 AND 120),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT projects_external_id_key UNIQUE (customer_id, external_id),
    ADD CONSTRAINT projects_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    ADD CONSTRAINT projects_of_customer_key UNIQUE (id, customer_id);

-- A number or account knows its customer too, so that a customer's lists need no join.
ALTER TABLE provisioner.numbers
    ADD COLUMN customer_id bigint,
    ADD COLUMN external_id text CHECK (char_length(external_id) BETWEEN 1 AND 120),
    ADD COLUMN generation bigint NOT NULL DEFAULT nextval('provisioner.generation'),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT numbers_external_id_key UNIQUE (customer_id, external_id);
UPDATE provisioner.numbers SET customer_id = projects.customer_id
  FROM provisioner.projects WHERE projects.id = numbers.project_id;
ALTER TABLE provisioner.numbers
    ALTER COLUMN customer_id SET NOT NULL,
    ADD CONSTRAINT numbers_project_of_customer FOREIGN KEY (project_id, customer_id)
        REFERENCES provisioner.projects (id, customer_id);
CREATE INDEX numbers_customer_idx ON provisioner.numbers (customer_id, number);

ALTER TABLE provisioner.sip_accounts
    ADD COLUMN customer_id bigint,
    ADD COLUMN external_id text CHECK (char_length(external_id) BETWEEN 1 AND 120),
    ADD CONSTRAINT sip_accounts_external_id_key UNIQUE (customer_id, external_id);
UPDATE provisioner.sip_accounts AS account SET customer_id = projects.customer_id
  FROM provisioner.projects WHERE projects.id = account.project_id;
-- What a deferred constraint has yet to check stands in the way of ALTER TABLE.
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE provisioner.sip_accounts
    ALTER COLUMN customer_id SET NOT NULL,
    ADD CONSTRAINT sip_accounts_project_of_customer FOREIGN KEY (project_id, customer_id)
        REFERENCES provisioner.projects (id, customer_id);
SET CONSTRAINTS ALL DEFERRED;

-- One index for each order in which a list can be read: by whom (everybody, a customer, a project),
-- and by what.
CREATE INDEX sip_accounts_customer_idx ON provisioner.sip_accounts (customer_id, id);
CREATE INDEX sip_accounts_project_idx ON provisioner.sip_accounts (project_id, id);
CREATE INDEX sip_accounts_name_idx ON provisioner.sip_accounts (name, id);
CREATE INDEX sip_accounts_customer_name_idx ON provisioner.sip_accounts (customer_id, name, id);
CREATE INDEX sip_accounts_customer_number_idx
    ON provisioner.sip_accounts (customer_id, main_number);
-- A search finds a part of a name or number wherever it stands. The index is of both as one text:
-- one of the columns themselves would be taken for equal numbers, too, and finds those far slower.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
CREATE INDEX sip_accounts_search_idx ON provisioner.sip_accounts
    USING gin ((name || ' ' || main_number) public.gin_trgm_ops);

-- People. An inactive one's tokens are refused.
CREATE TABLE provisioner.users (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint REFERENCES provisioner.customers,
    email       text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    name        text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    role        text NOT NULL
                CHECK (role IN ('admin', 'accounting', 'technician', 'sales', 'read_only')),
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);
-- Among a customer's own people: another's are nothing to know of.
CREATE UNIQUE INDEX users_email_key ON provisioner.users (coalesce(customer_id, 0), lower(email));
CREATE INDEX users_customer_idx ON provisioner.users (customer_id, id);
COMMENT ON COLUMN provisioner.users.customer_id IS 'null: one of the operator''s own people';

-- A token has a role and a customer of its own, or those of the user that it belongs to. Until now
-- there was one kind: the operator's Admin.
ALTER TABLE provisioner.api_tokens
    DROP CONSTRAINT api_tokens_role_check,
    ALTER COLUMN role DROP NOT NULL,
    ALTER COLUMN project_id DROP NOT NULL,
    ADD COLUMN customer_id bigint REFERENCES provisioner.customers,
    ADD COLUMN user_id bigint REFERENCES provisioner.users ON DELETE CASCADE,
    ADD COLUMN expires_at timestamptz;
UPDATE provisioner.api_tokens SET project_id = NULL;
ALTER TABLE provisioner.api_tokens
    ADD CONSTRAINT api_tokens_role_check
        CHECK (role IN ('admin', 'accounting', 'technician', 'sales', 'read_only')),
    ADD CONSTRAINT api_tokens_role_of_its_own CHECK ((user_id IS NULL) = (role IS NOT NULL)),
    ADD CONSTRAINT api_tokens_scope_of_its_own
        CHECK (user_id IS NULL OR (customer_id IS NULL AND project_id IS NULL)),
    ADD CONSTRAINT api_tokens_project_of_customer FOREIGN KEY (project_id, customer_id)
        REFERENCES provisioner.projects (id, customer_id),
    ADD CONSTRAINT api_tokens_project_needs_customer
        CHECK (project_id IS NULL OR customer_id IS NOT NULL);
COMMENT ON COLUMN provisioner.api_tokens.customer_id IS 'null: the operator, all customers';
COMMENT ON COLUMN provisioner.api_tokens.project_id IS 'null: all projects of the customer';

-- A token with the role and scope that it has now; a user's are those of the user.
CREATE VIEW provisioner.token_status AS
SELECT token.id, token.name, coalesce(users.role, token.role) AS role,
       coalesce(users.customer_id, token.customer_id) AS customer_id,
       token.project_id, token.user_id, token.created_at, token.expires_at, token.sha256,
       coalesce(users.active, true) AS active
  FROM provisioner.api_tokens AS token
  LEFT JOIN provisioner.users ON users.id = token.user_id;

-- Who did what to what. It outlives what it is about, so it refers to nothing, and the service may
-- add rows and read them, nothing else.
CREATE TABLE provisioner.audit_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    via         text NOT NULL CHECK (via IN ('api', 'hook', 'console', 'cli', 'worker')),
    actor_id    bigint,
    actor_name  text NOT NULL,
    source      inet,
    request_id  text,
    type        text NOT NULL,
    subject     text NOT NULL,
    subject_id  text NOT NULL,
    customer_id bigint,
    project_id  bigint,
    before      jsonb,
    after       jsonb
);
CREATE INDEX audit_events_subject_idx ON provisioner.audit_events (subject, subject_id, id);
CREATE INDEX audit_events_customer_idx ON provisioner.audit_events (customer_id, id);
CREATE INDEX audit_events_type_idx ON provisioner.audit_events (type, id);

-- Answers to POST requests that a client may repeat, for a day; without passwords.
CREATE TABLE provisioner.idempotency_keys (
    token_id   bigint NOT NULL REFERENCES provisioner.api_tokens ON DELETE CASCADE,
    key        text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    request    bytea NOT NULL CHECK (octet_length(request) = 32),
    status     integer,
    body       jsonb,
    location   text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_keys_created_idx ON provisioner.idempotency_keys (created_at);
COMMENT ON COLUMN provisioner.idempotency_keys.request IS
    'SHA-256 of method, path and body: the same key with another request is refused';

-- Which tariff was in force when; billing asks long after the account is gone.
CREATE TABLE provisioner.account_tariffs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    tariff     text NOT NULL CHECK (tariff IN ('pay_per_use', 'flat')),
    since      timestamptz NOT NULL DEFAULT now(),
    via        text NOT NULL,
    actor_name text NOT NULL
);
CREATE INDEX account_tariffs_account_idx ON provisioner.account_tariffs (account_id, since);
INSERT INTO provisioner.account_tariffs (account_id, tariff, since, via, actor_name)
SELECT id, tariff, created_at, 'worker', 'migration' FROM provisioner.sip_accounts;

-- Which number an account presents to whom; the longest prefix decides, and without a rule the main
-- number is presented. The number is one of the account's own, for as long as the rule stands.
CREATE TABLE provisioner.caller_id_rules (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id         bigint NOT NULL REFERENCES provisioner.sip_accounts,
    destination_prefix text NOT NULL DEFAULT '' CHECK (destination_prefix ~ '^(\+[1-9][0-9]{0,14})?$'),
    number             text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT caller_id_rules_prefix_key UNIQUE (account_id, destination_prefix),
    CONSTRAINT caller_id_rules_number_linked FOREIGN KEY (account_id, number)
        REFERENCES provisioner.numbers (account_id, number)
);
CREATE INDEX caller_id_rules_number_idx ON provisioner.caller_id_rules (number);
COMMENT ON COLUMN provisioner.caller_id_rules.number IS 'null: no number is presented';

-- Where calls go: all of them, or those that nobody answers, or that reach no device.
CREATE TABLE provisioner.call_transfers (
    account_id            bigint PRIMARY KEY REFERENCES provisioner.sip_accounts ON DELETE CASCADE,
    unconditional_enabled boolean NOT NULL DEFAULT false,
    unconditional_target  text CHECK (unconditional_target ~ '^\+[1-9][0-9]{6,14}$'),
    no_answer_enabled     boolean NOT NULL DEFAULT false,
    no_answer_target      text CHECK (no_answer_target ~ '^\+[1-9][0-9]{6,14}$'),
    unreachable_enabled   boolean NOT NULL DEFAULT false,
    unreachable_target    text CHECK (unreachable_target ~ '^\+[1-9][0-9]{6,14}$'),
    CHECK (NOT unconditional_enabled OR unconditional_target IS NOT NULL),
    CHECK (NOT no_answer_enabled OR no_answer_target IS NOT NULL),
    CHECK (NOT unreachable_enabled OR unreachable_target IS NOT NULL),
    CHECK (NOT (unconditional_enabled AND (no_answer_enabled OR unreachable_enabled)))
);

-- What Kamailio reads of it. These are views: nobody else keeps rows in them, so there is nothing
-- to copy and nothing that could differ.
CREATE VIEW kamailio.did AS
SELECT numbers.number, account.id AS account_id, substr(account.main_number, 2) AS username,
       account.voice_channels AS channels, account.state
  FROM provisioner.numbers
  JOIN provisioner.sip_accounts AS account ON account.id = numbers.account_id
 WHERE numbers.state = 'active';
COMMENT ON VIEW kamailio.did IS 'the account that an active number rings';

CREATE VIEW kamailio.caller_id AS
SELECT account_id, destination_prefix, number FROM provisioner.caller_id_rules;
COMMENT ON VIEW kamailio.caller_id IS
    'the number to present, or null to hide it, for the longest prefix of the called number; '
    'without a row the main number';

CREATE VIEW kamailio.call_transfer AS
SELECT account_id, 'unconditional' AS condition, unconditional_target AS target, 0 AS after_seconds
  FROM provisioner.call_transfers WHERE unconditional_enabled
UNION ALL
SELECT account_id, 'no_answer', no_answer_target, 20
  FROM provisioner.call_transfers WHERE no_answer_enabled
UNION ALL
SELECT account_id, 'unreachable', unreachable_target, 0
  FROM provisioner.call_transfers WHERE unreachable_enabled;

-- An account may be without credentials: one that a hook created, or whose credentials expired.
-- Its username is always its main number's digits. Nothing is joined: a deep page of a list would
-- merge with all the credentials before it.
DROP VIEW provisioner.account_status;
CREATE VIEW provisioner.account_status AS
SELECT account.*, substr(account.main_number, 2) AS username,
       (SELECT realm FROM provisioner.installation) AS realm,
       (SELECT rotated_at FROM provisioner.credentials WHERE account_id = account.id) AS rotated_at,
       (SELECT count(*) FROM provisioner.nodes) AS nodes_total,
       ARRAY(SELECT nodes.name
               FROM provisioner.nodes
              WHERE nodes.state = 'catching_up' OR nodes.last_compared_at IS NULL
                 OR EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                             WHERE kick.node_id = nodes.id AND kick.confirmed_at IS NULL
                               AND kick.username = substr(account.main_number, 2))
              ORDER BY nodes.name) AS pending_nodes
  FROM provisioner.sip_accounts AS account;

GRANT SELECT ON kamailio.did, kamailio.caller_id, kamailio.call_transfer TO kamailio, provisioner;
GRANT SELECT ON provisioner.account_status, provisioner.token_status TO provisioner;
GRANT SELECT, INSERT ON provisioner.audit_events, provisioner.account_tariffs TO provisioner;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    provisioner.users, provisioner.idempotency_keys, provisioner.call_transfers TO provisioner;
GRANT SELECT, INSERT, DELETE ON provisioner.caller_id_rules TO provisioner;
GRANT DELETE ON provisioner.api_tokens TO provisioner;
GRANT INSERT, UPDATE, DELETE ON provisioner.customers, provisioner.projects TO provisioner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA provisioner TO provisioner;
