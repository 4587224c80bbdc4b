-- Settings that a phone fetches once.

-- name: handover_set
INSERT INTO provisioner.handovers (account_id, sha256, sealed, expires_at)
VALUES (%(account_id)s, %(sha256)s, %(sealed)s, now() + make_interval(mins => %(minutes)s))
ON CONFLICT (account_id) DO UPDATE
   SET sha256 = excluded.sha256, sealed = excluded.sealed, expires_at = excluded.expires_at;

-- name: handover_take
-- Of two that ask at once the second finds nothing.
DELETE FROM provisioner.handovers
 WHERE sha256 = %(sha256)s AND expires_at > now()
RETURNING sealed;

-- name: handovers_prune
DELETE FROM provisioner.handovers
 WHERE account_id IN (SELECT account_id FROM provisioner.handovers
                       WHERE expires_at <= now() FOR UPDATE SKIP LOCKED);
