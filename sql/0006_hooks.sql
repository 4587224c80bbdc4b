-- Hooks: events that the operator's portal sends, and events that are sent to whoever listens.
-- The secrets that sign them are sealed with a key that is not in the database.

CREATE TABLE provisioner.hook_sources (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint REFERENCES provisioner.customers,
    name        text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN provisioner.hook_sources.customer_id IS
    'whose objects its events may touch; null: the operator''s portal, everybody''s';

CREATE TABLE provisioner.hook_source_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id  bigint NOT NULL REFERENCES provisioner.hook_sources ON DELETE CASCADE,
    sealed     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hook_source_keys_source_idx ON provisioner.hook_source_keys (source_id);

-- What events are about, by the names that the portal uses. Whoever handles an event locks the row.
CREATE TABLE provisioner.hook_subjects (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint,
    owner_id     bigint,
    kind         text NOT NULL CHECK (kind IN ('account', 'number')),
    external_id  text,
    account_id   bigint,
    number       text,
    base         jsonb,
    born_version bigint,
    born_event   text,
    ignored_to   bigint NOT NULL DEFAULT -1
);
CREATE UNIQUE INDEX hook_subjects_external_id_key
    ON provisioner.hook_subjects (coalesce(customer_id, 0), kind, external_id, coalesce(owner_id, 0));
CREATE UNIQUE INDEX hook_subjects_account_id_key
    ON provisioner.hook_subjects (coalesce(customer_id, 0), account_id) WHERE external_id IS NULL;
CREATE INDEX hook_subjects_account_id_idx ON provisioner.hook_subjects (account_id);
CREATE UNIQUE INDEX hook_subjects_number_key
    ON provisioner.hook_subjects (coalesce(customer_id, 0), number);
COMMENT ON COLUMN provisioner.hook_subjects.customer_id IS
    'the customer whose sources name it so; null: the operator''s';
COMMENT ON COLUMN provisioner.hook_subjects.owner_id IS
    'the customer whose account or number it is, for ever; null: not known yet, so it is nothing yet';
COMMENT ON COLUMN provisioner.hook_subjects.account_id IS
    'the account that its events met or made; it stays when the account is deleted elsewhere';
COMMENT ON COLUMN provisioner.hook_subjects.base IS
    'the fields of what was there before its first event';
COMMENT ON COLUMN provisioner.hook_subjects.ignored_to IS
    'versions up to this are about a former account of the same name';
COMMENT ON COLUMN provisioner.hook_subjects.born_version IS
    'with born_event: the event by which it was created';

-- The portal names accounts and numbers by its own keys, and need not know whose they are.
CREATE INDEX sip_accounts_external_id_idx ON provisioner.sip_accounts (external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX numbers_external_id_idx ON provisioner.numbers (external_id)
    WHERE external_id IS NOT NULL;

-- Events are kept: a subject's state is the fold of all of them.
CREATE TABLE provisioner.incoming_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   bigint REFERENCES provisioner.hook_sources ON DELETE SET NULL,
    webhook_id  text NOT NULL,
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    subject_id  bigint REFERENCES provisioner.hook_subjects,
    type        text NOT NULL,
    version     bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    data        jsonb NOT NULL,
    status      text NOT NULL DEFAULT 'waiting' CHECK (status IN
                ('applied', 'superseded', 'waiting', 'conflict', 'rejected', 'dismissed')),
    code        text,
    detail      text,
    waits_for   text,
    CONSTRAINT incoming_events_webhook_id_key UNIQUE (source_id, webhook_id)
);
CREATE INDEX incoming_events_subject_idx ON provisioner.incoming_events (subject_id);
CREATE INDEX incoming_events_open_idx ON provisioner.incoming_events (status, id)
    WHERE status IN ('waiting', 'conflict', 'rejected');
CREATE INDEX incoming_events_waits_for_idx ON provisioner.incoming_events (waits_for)
    WHERE waits_for IS NOT NULL;
COMMENT ON COLUMN provisioner.incoming_events.waits_for IS
    'the number or name that stood in the way; when it is touched the event is tried again';

CREATE TABLE provisioner.webhook_endpoints (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id   bigint REFERENCES provisioner.customers,
    project_id    bigint,
    url           text NOT NULL,
    types         text[] NOT NULL DEFAULT '{}',
    description   text NOT NULL DEFAULT '',
    active        boolean NOT NULL DEFAULT true,
    disabled_by   text,
    served_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_endpoints_project_of_customer FOREIGN KEY (project_id, customer_id)
        REFERENCES provisioner.projects (id, customer_id),
    CONSTRAINT webhook_endpoints_project_needs_customer
        CHECK (project_id IS NULL OR customer_id IS NOT NULL)
);
COMMENT ON COLUMN provisioner.webhook_endpoints.customer_id IS
    'whose events it gets; null: everybody''s';
COMMENT ON COLUMN provisioner.webhook_endpoints.project_id IS 'null: those of all projects';
COMMENT ON COLUMN provisioner.webhook_endpoints.types IS 'the types of events it gets; empty: all';
COMMENT ON COLUMN provisioner.webhook_endpoints.served_at IS
    'when its last turn to be sent to began; who has waited longest is the next';
COMMENT ON COLUMN provisioner.webhook_endpoints.disabled_by IS
    'why it is not active, where nobody has chosen so: it answered 410 Gone';

-- A key that has been replaced still signs until it expires.
CREATE TABLE provisioner.webhook_endpoint_keys (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL REFERENCES provisioner.webhook_endpoints ON DELETE CASCADE,
    sealed      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX webhook_endpoint_keys_endpoint_idx ON provisioner.webhook_endpoint_keys (endpoint_id);

-- The outbox: an event and its deliveries are written in the transaction of the change.
CREATE TABLE provisioner.outgoing_events (
    id          text PRIMARY KEY DEFAULT 'msg_' || replace(gen_random_uuid()::text, '-', ''),
    type        text NOT NULL,
    customer_id bigint,
    project_id  bigint,
    data        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outgoing_events_created_at_idx ON provisioner.outgoing_events (created_at);

CREATE TABLE provisioner.webhook_deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id        text NOT NULL REFERENCES provisioner.outgoing_events ON DELETE CASCADE,
    endpoint_id     bigint NOT NULL REFERENCES provisioner.webhook_endpoints ON DELETE CASCADE,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts        integer NOT NULL DEFAULT 0,
    due_since       timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz,
    last_status     integer,
    last_error      text,
    CONSTRAINT webhook_deliveries_event_key UNIQUE (event_id, endpoint_id)
);
CREATE INDEX webhook_deliveries_due_idx
    ON provisioner.webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_endpoint_idx ON provisioner.webhook_deliveries (endpoint_id, id);
COMMENT ON COLUMN provisioner.webhook_deliveries.attempts IS
    'attempts since due_since, one in progress included';
COMMENT ON COLUMN provisioner.webhook_deliveries.due_since IS
    'when it was first due, or was last replayed: three days later it is given up';
COMMENT ON COLUMN provisioner.webhook_deliveries.next_attempt_at IS
    'for one in progress: when others may take it for lost';

CREATE TABLE provisioner.webhook_attempts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES provisioner.webhook_deliveries ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT now(),
    status      integer,
    duration_ms integer NOT NULL,
    error       text,
    response    text
);
CREATE INDEX webhook_attempts_delivery_idx ON provisioner.webhook_attempts (delivery_id);
CREATE INDEX webhook_attempts_at_idx ON provisioner.webhook_attempts (at);

-- What orders the changes of one subject, as hooks tell it.
ALTER TABLE provisioner.audit_events ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- For each row, so that a change of which nobody is told wakes nobody.
CREATE TRIGGER wake_worker AFTER INSERT OR UPDATE OF due_since ON provisioner.webhook_deliveries
    FOR EACH ROW EXECUTE FUNCTION provisioner.wake_worker();

-- As people see them.
CREATE VIEW provisioner.hook_source_status AS
SELECT source.*,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', key.id, 'created_at', key.created_at)
                                  ORDER BY key.id), '[]')
          FROM provisioner.hook_source_keys AS key WHERE key.source_id = source.id) AS keys
  FROM provisioner.hook_sources AS source;

CREATE VIEW provisioner.incoming_event_status AS
SELECT event.id, subject.customer_id, event.webhook_id, event.source_id, event.type, event.version,
       event.occurred_at, event.received_at, event.data, event.status, event.code, event.detail
  FROM provisioner.incoming_events AS event
  JOIN provisioner.hook_subjects AS subject ON subject.id = event.subject_id;

CREATE VIEW provisioner.webhook_endpoint_status AS
SELECT endpoint.id, endpoint.customer_id, endpoint.project_id, endpoint.url, endpoint.types,
       endpoint.description, endpoint.active, endpoint.disabled_by, endpoint.created_at,
       coalesce(tally.pending, 0) AS pending, coalesce(tally.dead, 0) AS dead
  FROM provisioner.webhook_endpoints AS endpoint
  LEFT JOIN LATERAL (
      SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
             count(*) FILTER (WHERE state = 'dead') AS dead
        FROM provisioner.webhook_deliveries
       WHERE endpoint_id = endpoint.id AND state <> 'delivered') AS tally ON true;

CREATE VIEW provisioner.webhook_delivery_status AS
SELECT delivery.id, endpoint.customer_id, endpoint.project_id, delivery.endpoint_id,
       delivery.event_id, event.type, event.data, event.created_at, delivery.state,
       delivery.attempts,
       CASE WHEN delivery.state = 'pending' THEN delivery.next_attempt_at END AS next_attempt_at,
       delivery.delivered_at, delivery.last_status, delivery.last_error
  FROM provisioner.webhook_deliveries AS delivery
  JOIN provisioner.outgoing_events AS event ON event.id = delivery.event_id
  JOIN provisioner.webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id;

-- Accounts that are live on all nodes, as they are told of.
CREATE VIEW provisioner.account_converged AS
SELECT id, main_number, customer_id, project_id,
       jsonb_build_object('id', id, 'external_id', external_id, 'customer_id', customer_id,
                          'project_id', project_id, 'state', state, 'version', generation,
                          'nodes', nodes_total) AS data
  FROM provisioner.account_status
 WHERE cardinality(pending_nodes) = 0;

GRANT SELECT ON
    provisioner.hook_source_status, provisioner.incoming_event_status,
    provisioner.webhook_endpoint_status, provisioner.webhook_delivery_status,
    provisioner.account_converged, provisioner.hook_sources, provisioner.hook_source_keys, provisioner.hook_subjects,
    provisioner.incoming_events, provisioner.webhook_endpoints, provisioner.webhook_endpoint_keys,
    provisioner.outgoing_events, provisioner.webhook_deliveries, provisioner.webhook_attempts
    TO provisioner;
GRANT INSERT, DELETE ON
    provisioner.hook_sources, provisioner.hook_source_keys, provisioner.webhook_endpoints,
    provisioner.webhook_endpoint_keys, provisioner.outgoing_events, provisioner.webhook_attempts
    TO provisioner;
GRANT INSERT ON
    provisioner.hook_subjects, provisioner.incoming_events, provisioner.webhook_deliveries
    TO provisioner;
GRANT UPDATE ON
    provisioner.hook_sources, provisioner.hook_subjects, provisioner.webhook_endpoints,
    provisioner.webhook_deliveries TO provisioner;
GRANT UPDATE (expires_at) ON provisioner.webhook_endpoint_keys TO provisioner;
-- What an event said never changes; what became of it does.
GRANT UPDATE (subject_id, status, code, detail, waits_for) ON provisioner.incoming_events TO provisioner;
