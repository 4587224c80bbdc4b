-- Events that come in: sources and their keys, subjects, events.

-- name: source_insert
INSERT INTO provisioner.hook_sources (customer_id, name)
VALUES (%(customer_id)s, %(name)s)
RETURNING id;

-- name: source
SELECT * FROM provisioner.hook_source_status
 WHERE id = %(source_id)s AND (%(customer_id)s::bigint IS NULL OR customer_id = %(customer_id)s);

-- name: sources_count
SELECT count(*) AS count FROM provisioner.hook_sources WHERE customer_id = %(customer_id)s;

-- name: source_lock
SELECT id FROM provisioner.hook_sources
 WHERE id = %(source_id)s AND (%(customer_id)s::bigint IS NULL OR customer_id = %(customer_id)s)
   FOR UPDATE;

-- name: source_active
UPDATE provisioner.hook_sources SET active = %(active)s WHERE id = %(source_id)s;

-- name: source_delete
DELETE FROM provisioner.hook_sources WHERE id = %(source_id)s;

-- name: source_key_insert
INSERT INTO provisioner.hook_source_keys (source_id, sealed) VALUES (%(source_id)s, %(sealed)s)
RETURNING id;

-- name: source_key_delete
DELETE FROM provisioner.hook_source_keys WHERE id = %(key_id)s AND source_id = %(source_id)s;

-- name: active_keys
-- The keys by which a message may be signed, and whose each is.
SELECT source.id, source.customer_id, source.name, key.sealed
  FROM provisioner.hook_sources AS source
  JOIN provisioner.hook_source_keys AS key ON key.source_id = source.id
 WHERE source.active
 ORDER BY key.id DESC;

-- name: event_insert
-- No row: the source has sent an event with this id before. One that is being handled at the
-- moment is waited for.
INSERT INTO provisioner.incoming_events
       (source_id, webhook_id, body_sha256, type, version, occurred_at, data, request_id)
VALUES (%(source_id)s, %(webhook_id)s, %(body_sha256)s, %(type)s, %(version)s, %(occurred_at)s,
        %(data)s, %(request_id)s)
ON CONFLICT ON CONSTRAINT incoming_events_webhook_id_key DO NOTHING
RETURNING id;

-- name: event_sent_before
SELECT id, body_sha256, status, code, detail FROM provisioner.incoming_events
 WHERE source_id = %(source_id)s AND webhook_id = %(webhook_id)s;

-- name: names_lock
-- Whoever looks for the subject that a name means holds this lock, so that nobody else makes it.
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', coalesce(%(customer_id)s::bigint, 0), %(kind)s::text,
                               %(external_id)s::text), 0));

-- name: subject_find
-- Whoever handles an event of a subject holds this lock, so that its events follow each other.
-- One of which nobody has known whose it is, is its owner's by now.
SELECT id, customer_id, owner_id, kind, external_id, account_id, number, base, born_version,
       born_event, ignored_to
  FROM provisioner.hook_subjects
 WHERE coalesce(customer_id, 0) = coalesce(%(customer_id)s::bigint, 0) AND kind = %(kind)s
   AND (account_id = %(account_id)s OR number = %(number)s
        OR (external_id = %(external_id)s
            AND (owner_id IS NULL OR owner_id = %(owner_id)s::bigint)))
 ORDER BY number = %(number)s DESC NULLS LAST, external_id = %(external_id)s DESC NULLS LAST,
       owner_id NULLS LAST, id
 LIMIT 1
   FOR UPDATE;

-- name: subject_lock
SELECT id, customer_id, owner_id, kind, external_id, account_id, number, base, born_version,
       born_event, ignored_to
  FROM provisioner.hook_subjects WHERE id = %(subject_id)s FOR UPDATE;

-- name: subject_insert
INSERT INTO provisioner.hook_subjects (customer_id, owner_id, kind, external_id, account_id, number)
VALUES (%(customer_id)s, %(owner_id)s, %(kind)s, %(external_id)s, %(account_id)s, %(number)s)
ON CONFLICT DO NOTHING
RETURNING id, customer_id, owner_id, kind, external_id, account_id, number, base, born_version,
          born_event, ignored_to;

-- name: subject_save
UPDATE provisioner.hook_subjects
   SET owner_id = %(owner_id)s, external_id = %(external_id)s, account_id = %(account_id)s,
       number = %(number)s, base = %(base)s, born_version = %(born_version)s,
       born_event = %(born_event)s, ignored_to = %(ignored_to)s
 WHERE id = %(subject_id)s;

-- name: owners_met
-- Whose the subjects are that a name has meant before; two suffice to know that it is not clear.
SELECT DISTINCT owner_id FROM provisioner.hook_subjects
 WHERE coalesce(customer_id, 0) = coalesce(%(customer_id)s::bigint, 0) AND kind = %(kind)s
   AND external_id = %(external_id)s AND owner_id IS NOT NULL
 LIMIT 2;

-- name: account_owners
SELECT customer_id AS owner_id FROM provisioner.sip_accounts
 WHERE external_id = %(external_id)s
 LIMIT 2;

-- name: number_owners
SELECT customer_id AS owner_id FROM provisioner.numbers
 WHERE external_id = %(external_id)s
 LIMIT 2;

-- name: account_names
-- By what else an account is known, and whose it is; nothing where a customer does not see it.
SELECT customer_id AS owner_id, id AS account_id, external_id
  FROM provisioner.sip_accounts
 WHERE id = %(account_id)s
   AND (%(customer_id)s::bigint IS NULL OR customer_id = %(customer_id)s);

-- name: account_by_external_id
SELECT customer_id AS owner_id, id AS account_id, external_id
  FROM provisioner.sip_accounts
 WHERE (customer_id, external_id) = (%(customer_id)s, %(external_id)s);

-- name: number_owner
SELECT customer_id AS owner_id FROM provisioner.numbers WHERE number = %(number)s;

-- name: number_by_external_id
SELECT number FROM provisioner.numbers
 WHERE (customer_id, external_id) = (%(customer_id)s, %(external_id)s);

-- name: account_met
-- Whether events of a source have met an account, which may be gone by now.
SELECT owner_id, account_id, external_id FROM provisioner.hook_subjects
 WHERE coalesce(customer_id, 0) = coalesce(%(customer_id)s::bigint, 0)
   AND account_id = %(account_id)s
 ORDER BY id
 LIMIT 1;

-- name: subject_events
-- What counts of a subject's events: not those that a person has to look at, or has dismissed.
SELECT id, source_id, webhook_id, type, version, data, status FROM provisioner.incoming_events
 WHERE subject_id = %(subject_id)s AND version > %(ignored_to)s
   AND status NOT IN ('conflict', 'dismissed');

-- name: event_settle
UPDATE provisioner.incoming_events
   SET subject_id = %(subject_id)s, status = %(status)s, code = %(code)s, detail = %(detail)s,
       waits_for = %(waits_for)s
 WHERE id = %(event_id)s;

-- name: events_blocked
-- Events that something stood in the way of, for three days: a number, or a name; but for those of
-- sources that are refused by now. Where keys are given, only those that wait for one of them, and
-- are of the same customer's sources (null: the operator's).
SELECT event.id
  FROM provisioner.incoming_events AS event
  JOIN provisioner.hook_sources AS source ON source.id = event.source_id AND source.active
 WHERE waits_for IS NOT NULL AND received_at > now() - interval '3 days'
   AND (%(keys)s::text[] IS NULL
        OR (waits_for = ANY (%(keys)s)
            AND source.customer_id IS NOT DISTINCT FROM %(customer_id)s::bigint))
   AND event.id > %(after)s
 ORDER BY event.id
 LIMIT %(limit)s;

-- name: event_to_try
SELECT event.id, event.type, event.version, event.occurred_at, event.data, event.status,
       event.webhook_id, event.subject_id, event.request_id, subject.customer_id, event.source_id,
       coalesce(source.name, 'a deleted source') AS source_name
  FROM provisioner.incoming_events AS event
  JOIN provisioner.hook_subjects AS subject ON subject.id = event.subject_id
  LEFT JOIN provisioner.hook_sources AS source ON source.id = event.source_id
 WHERE event.id = %(event_id)s
   AND (%(customer_id)s::bigint IS NULL OR subject.customer_id = %(customer_id)s);

-- name: event_status
SELECT id, webhook_id, status, code, detail FROM provisioner.incoming_events
 WHERE id = %(event_id)s;

-- name: event
SELECT * FROM provisioner.incoming_event_status
 WHERE id = %(event_id)s AND (%(customer_id)s::bigint IS NULL OR customer_id = %(customer_id)s);

-- name: account_of_subject
-- The account that a subject has met, else the one that has its name by now. Waits for all other
-- changes of it, so that what is decided about it still holds.
SELECT id FROM provisioner.sip_accounts
 WHERE customer_id = %(owner_id)s AND (id = %(account_id)s OR external_id = %(external_id)s)
 ORDER BY id = %(account_id)s DESC NULLS LAST, id
 LIMIT 1
   FOR UPDATE;

-- name: number_of_subject
SELECT number, state FROM provisioner.numbers
 WHERE number = %(number)s
    OR (%(number)s::text IS NULL AND customer_id = %(owner_id)s AND external_id = %(external_id)s)
   FOR UPDATE;

-- name: changed_elsewhere_since_generation
-- Whether somebody else has changed a customer's account after the generation that a portal saw.
SELECT type, at FROM provisioner.audit_events
 WHERE subject = 'account' AND subject_id = %(account_id)s::text AND customer_id = %(owner_id)s
   AND via NOT IN ('hook', 'worker') AND type LIKE 'account.%%' AND version > %(generation)s
 ORDER BY id DESC
 LIMIT 1;

-- name: state_changed_elsewhere_since
-- Whether somebody else has changed an account's state (or deleted it) after a moment.
SELECT type, at FROM provisioner.audit_events
 WHERE subject = 'account' AND subject_id = %(account_id)s::text AND customer_id = %(owner_id)s
   AND via NOT IN ('hook', 'worker')
   AND type IN ('account.enabled', 'account.disabled', 'account.teams_linked', 'account.deleted')
   AND at > %(moment)s
 ORDER BY id DESC
 LIMIT 1;
