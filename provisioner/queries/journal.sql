-- The audit trail.

-- name: audit_insert
INSERT INTO provisioner.audit_events
       (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
        project_id, before, after, version)
VALUES (%(via)s, %(actor_id)s, %(actor_name)s, %(source)s, %(request_id)s, %(type)s, %(subject)s,
        %(subject_id)s, %(customer_id)s, %(project_id)s, %(before)s, %(after)s,
        %(version)s);

-- name: tariff_insert
INSERT INTO provisioner.account_tariffs (account_id, tariff, via, actor_name)
VALUES (%(account_id)s, %(tariff)s, %(via)s, %(actor_name)s);

-- name: tariffs
-- An account's tariffs with the one before, the latest first.
SELECT tariff, lag(tariff) OVER (ORDER BY id) AS previous, since, via, actor_name
  FROM provisioner.account_tariffs
 WHERE account_id = %(account_id)s
 ORDER BY id DESC;
