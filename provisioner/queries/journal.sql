-- The audit trail, and the events that endpoints are told of.

-- fragment: audit
INSERT INTO provisioner.audit_events
       (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
        project_id, before, after, version)
VALUES (%(via)s, %(actor_id)s, %(actor_name)s, %(source)s, %(request_id)s, %(type)s, %(subject)s,
        %(subject_id)s, %(customer_id)s, %(project_id)s, %(before)s, %(after)s,
        %(version)s)

-- fragment: tell
-- An event and its deliveries, in the transaction of the change that it tells of; and beside it
-- account.converged, where no node has to confirm the change of an account. An event is kept where
-- an endpoint sees such events, be it inactive, so that it can be replayed. One that is being
-- deleted is waited for, and gets nothing.
endpoint AS (
    SELECT id, types, active
      FROM provisioner.webhook_endpoints
     WHERE (customer_id IS NULL OR customer_id = %(customer_id)s)
       AND (project_id IS NULL OR project_id = %(project_id)s)
       FOR KEY SHARE),
told AS (
    SELECT %(told)s::text AS type,
           %(data)s::jsonb
           || coalesce((SELECT jsonb_build_object('external_id', account.external_id)
                          FROM provisioner.sip_accounts AS account
                         WHERE account.id = %(account_id)s), '{}') AS data
     UNION ALL
    SELECT 'account.converged', converged.data
      FROM provisioner.account_converged AS converged
     WHERE converged.id = %(account_id)s),
event AS (
    INSERT INTO provisioner.outgoing_events (type, customer_id, project_id, data)
    SELECT told.type, %(customer_id)s, %(project_id)s, told.data
      FROM told
     WHERE EXISTS (SELECT FROM endpoint WHERE types = '{}' OR told.type = ANY (types))
    RETURNING id, type)
INSERT INTO provisioner.webhook_deliveries (event_id, endpoint_id)
SELECT event.id, endpoint.id
  FROM event
  JOIN endpoint ON endpoint.types = '{}' OR event.type = ANY (endpoint.types)
 WHERE endpoint.active

-- name: audit_insert
{audit};

-- name: audit_and_publish
WITH audit AS ({audit}),
{tell};

-- name: publish
WITH {tell};

-- name: tariff_insert
INSERT INTO provisioner.account_tariffs (account_id, tariff, via, actor_name)
VALUES (%(account_id)s, %(tariff)s, %(via)s, %(actor_name)s);

-- name: tariffs
-- An account's tariffs with the one before, the latest first.
SELECT tariff, lag(tariff) OVER (ORDER BY id) AS previous, since, via, actor_name
  FROM provisioner.account_tariffs
 WHERE account_id = %(account_id)s
 ORDER BY id DESC;
