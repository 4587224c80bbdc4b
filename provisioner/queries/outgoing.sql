-- Events that go out: endpoints and their keys, the outbox, deliveries.

-- name: endpoint_insert
INSERT INTO provisioner.webhook_endpoints (customer_id, project_id, url, types, description)
VALUES (%(customer_id)s, %(project_id)s, %(url)s, %(types)s, %(description)s)
RETURNING id;

-- name: endpoint
SELECT * FROM provisioner.webhook_endpoint_status WHERE id = %(endpoint_id)s AND {scope};

-- name: endpoint_lock
-- Not against those who only leave something for the endpoint, as every change does.
SELECT id FROM provisioner.webhook_endpoints WHERE id = %(endpoint_id)s AND {scope}
   FOR NO KEY UPDATE;

-- name: endpoints_count
SELECT count(*) AS count FROM provisioner.webhook_endpoints WHERE customer_id = %(customer_id)s;

-- name: endpoint_hold
SELECT id FROM provisioner.webhook_endpoints WHERE id = %(endpoint_id)s FOR KEY SHARE;

-- name: endpoint_update
UPDATE provisioner.webhook_endpoints
   SET url = %(url)s, types = %(types)s, description = %(description)s, active = %(active)s,
       disabled_by = CASE WHEN %(active)s THEN NULL ELSE disabled_by END
 WHERE id = %(endpoint_id)s;

-- name: endpoint_gone
UPDATE provisioner.webhook_endpoints SET active = false, disabled_by = '410 Gone'
 WHERE id = %(endpoint_id)s AND active;

-- name: endpoint_delete
DELETE FROM provisioner.webhook_endpoints WHERE id = %(endpoint_id)s;

-- name: endpoint_key_insert
INSERT INTO provisioner.webhook_endpoint_keys (endpoint_id, sealed)
VALUES (%(endpoint_id)s, %(sealed)s);

-- name: endpoint_keys_expire
-- Keys that are being replaced sign for a while longer; those that expired are forgotten.
WITH expired AS (
    DELETE FROM provisioner.webhook_endpoint_keys
     WHERE endpoint_id = %(endpoint_id)s AND expires_at <= now())
UPDATE provisioner.webhook_endpoint_keys
   SET expires_at = now() + make_interval(secs => %(seconds)s)
 WHERE endpoint_id = %(endpoint_id)s AND expires_at IS NULL;

-- name: endpoint_keys
-- The keys that sign now, the newest first.
SELECT sealed FROM provisioner.webhook_endpoint_keys
 WHERE endpoint_id = %(endpoint_id)s AND (expires_at IS NULL OR expires_at > now())
 ORDER BY id DESC;

-- name: publish_converged
-- Tells of accounts that have become live on all nodes; of endpoints see `publish` in journal.sql.
-- Without any endpoint no account is looked at.
WITH endpoint AS (
    SELECT id, customer_id, project_id
      FROM provisioner.webhook_endpoints
     WHERE active AND (types = '{}' OR 'account.converged' = ANY (types))
       FOR KEY SHARE),
event AS (
    INSERT INTO provisioner.outgoing_events (type, customer_id, project_id, data)
    SELECT 'account.converged', converged.customer_id, converged.project_id, converged.data
      FROM provisioner.account_converged AS converged
     WHERE EXISTS (SELECT FROM provisioner.webhook_endpoints)
       AND converged.main_number = ANY (%(main_numbers)s::text[])
       AND EXISTS (
           SELECT FROM provisioner.webhook_endpoints AS endpoint
            WHERE (endpoint.customer_id IS NULL OR endpoint.customer_id = converged.customer_id)
              AND (endpoint.project_id IS NULL OR endpoint.project_id = converged.project_id)
              AND (endpoint.types = '{}' OR 'account.converged' = ANY (endpoint.types)))
    RETURNING id, customer_id, project_id)
INSERT INTO provisioner.webhook_deliveries (event_id, endpoint_id)
SELECT event.id, endpoint.id
  FROM event
  JOIN endpoint
    ON (endpoint.customer_id IS NULL OR endpoint.customer_id = event.customer_id)
   AND (endpoint.project_id IS NULL OR endpoint.project_id = event.project_id);

-- name: publish_to
-- An event for one endpoint, whatever types it has asked for.
WITH event AS (
    INSERT INTO provisioner.outgoing_events (type, customer_id, project_id, data)
    SELECT %(type)s, customer_id, project_id, %(data)s
      FROM provisioner.webhook_endpoints WHERE id = %(endpoint_id)s
    RETURNING id)
INSERT INTO provisioner.webhook_deliveries (event_id, endpoint_id)
SELECT event.id, %(endpoint_id)s FROM event
RETURNING id;

-- name: endpoints_due
-- The endpoints that have a delivery due, but for those that are being served here: whoever had his
-- turn longest ago is the first, and a customer has no more than his part of the senders.
WITH busy AS (
    SELECT customer_id, count(*) AS count
      FROM provisioner.webhook_endpoints
     WHERE id = ANY (%(busy)s::bigint[])
     GROUP BY customer_id),
due AS (
    SELECT id, served_at,
           coalesce((SELECT count FROM busy
                      WHERE busy.customer_id IS NOT DISTINCT FROM endpoint.customer_id), 0)
           + row_number() OVER (PARTITION BY customer_id ORDER BY served_at NULLS FIRST, id)
           AS place
      FROM provisioner.webhook_endpoints AS endpoint
     WHERE active AND NOT id = ANY (%(busy)s::bigint[])
       AND EXISTS (
           SELECT FROM provisioner.webhook_deliveries AS delivery
            WHERE delivery.endpoint_id = endpoint.id AND delivery.state = 'pending'
              AND delivery.next_attempt_at <= now())),
turn AS (
    SELECT id FROM due
     WHERE place <= %(of_customer)s
     ORDER BY served_at NULLS FIRST, id
     LIMIT %(limit)s)
UPDATE provisioner.webhook_endpoints AS endpoint SET served_at = now()
  FROM turn
 WHERE endpoint.id = turn.id
RETURNING endpoint.id;

-- name: delivery_claim
-- Takes the first delivery of an endpoint that is due. Others may have it when the lease is over:
-- then whoever took it is lost.
WITH due AS (
    SELECT delivery.id
      FROM provisioner.webhook_deliveries AS delivery
     WHERE delivery.endpoint_id = %(endpoint_id)s AND delivery.state = 'pending'
       AND delivery.next_attempt_at <= now()
     ORDER BY delivery.next_attempt_at, delivery.id
     LIMIT 1
       FOR UPDATE SKIP LOCKED)
UPDATE provisioner.webhook_deliveries AS delivery
   SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => %(lease)s)
  FROM due, provisioner.outgoing_events AS event, provisioner.webhook_endpoints AS endpoint
 WHERE delivery.id = due.id AND event.id = delivery.event_id
   AND endpoint.id = delivery.endpoint_id AND endpoint.active
RETURNING delivery.id, delivery.endpoint_id, delivery.attempts, endpoint.url, event.id AS event_id,
          event.type, event.data, event.created_at, now() - delivery.due_since AS age;

-- name: delivery_record
-- What came of an attempt; nothing is changed where another worker has taken it over.
UPDATE provisioner.webhook_deliveries
   SET state = %(state)s,
       delivered_at = CASE WHEN %(state)s = 'delivered' THEN now() END,
       next_attempt_at = now() + coalesce(%(delay)s, interval '0'),
       last_status = %(status)s, last_error = %(error)s
 WHERE id = %(delivery_id)s AND attempts = %(attempts)s AND state = 'pending';

-- name: attempt_insert
INSERT INTO provisioner.webhook_attempts (delivery_id, status, duration_ms, error, response)
VALUES (%(delivery_id)s, %(status)s, %(duration_ms)s, %(error)s, %(response)s);

-- name: delivery
SELECT * FROM provisioner.webhook_delivery_status WHERE id = %(delivery_id)s AND {scope};

-- name: attempts
SELECT at, status, duration_ms, error, response FROM provisioner.webhook_attempts
 WHERE delivery_id = %(delivery_id)s
 ORDER BY id;

-- name: delivery_replay
UPDATE provisioner.webhook_deliveries
   SET state = 'pending', attempts = 0, due_since = now(), next_attempt_at = now(),
       delivered_at = NULL
 WHERE id = %(delivery_id)s;

-- name: replay_after
-- Sends an endpoint again whatever concerned it after an event, and what it missed while it was
-- inactive or did not exist; says which was the last of how many.
WITH batch AS (
    SELECT event.id, event.created_at
      FROM provisioner.outgoing_events AS event
      JOIN provisioner.webhook_endpoints AS endpoint
        ON (endpoint.customer_id IS NULL OR endpoint.customer_id = event.customer_id)
       AND (endpoint.project_id IS NULL OR endpoint.project_id = event.project_id)
       AND (endpoint.types = '{}' OR event.type = ANY (endpoint.types))
     WHERE endpoint.id = %(endpoint_id)s AND event.type <> 'ping'
       AND event.created_at >= %(moment)s
       AND (event.created_at, event.id) > (%(moment)s, %(event_id)s)
     ORDER BY event.created_at, event.id
     LIMIT %(limit)s),
due AS (
    INSERT INTO provisioner.webhook_deliveries AS present (event_id, endpoint_id)
    SELECT id, %(endpoint_id)s FROM batch ORDER BY created_at, id
    ON CONFLICT ON CONSTRAINT webhook_deliveries_event_key DO UPDATE
       SET state = 'pending', attempts = 0, due_since = now(), next_attempt_at = now(),
           delivered_at = NULL)
SELECT id, created_at, count(*) OVER () AS count
  FROM batch
 ORDER BY created_at DESC, id DESC
 LIMIT 1;

-- name: prune_events
-- Events older than 30 days with all that came of them, unless a delivery is still pending.
DELETE FROM provisioner.outgoing_events
 WHERE id IN (
     SELECT event.id
       FROM provisioner.outgoing_events AS event
      WHERE event.created_at < now() - interval '30 days'
        AND NOT EXISTS (
            SELECT FROM provisioner.webhook_deliveries AS delivery
             WHERE delivery.event_id = event.id AND delivery.state = 'pending'
               AND delivery.due_since > now() - interval '30 days')
      ORDER BY event.created_at
      LIMIT %(limit)s);

-- name: prune_attempts
DELETE FROM provisioner.webhook_attempts
 WHERE id IN (
     SELECT id FROM provisioner.webhook_attempts
      WHERE at < now() - interval '30 days' ORDER BY at LIMIT %(limit)s);
