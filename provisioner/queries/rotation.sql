-- Credentials that change at a chosen time.

-- name: change
SELECT due_at, created_at, ha1 IS NULL AS expires
  FROM provisioner.credential_changes
 WHERE account_id = %(account_id)s;

-- name: change_schedule
INSERT INTO provisioner.credential_changes (account_id, due_at, ha1, ha1_sha256, request_id)
VALUES (%(account_id)s, %(due_at)s, %(ha1)s, %(ha1_sha256)s, %(request_id)s)
ON CONFLICT (account_id) DO UPDATE
   SET due_at = excluded.due_at, ha1 = excluded.ha1, ha1_sha256 = excluded.ha1_sha256,
       created_at = now(), request_id = excluded.request_id;

-- name: change_cancel
DELETE FROM provisioner.credential_changes WHERE account_id = %(account_id)s;

-- name: change_next
SELECT extract(epoch FROM min(due_at) - now())::double precision AS seconds
  FROM provisioner.credential_changes;

-- name: changes_due
SELECT account_id FROM provisioner.credential_changes
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT %(limit)s;

-- name: change_take
-- No row: it was cancelled or put off meanwhile, or another worker was faster.
DELETE FROM provisioner.credential_changes
 WHERE account_id = %(account_id)s AND due_at <= now()
RETURNING ha1, ha1_sha256, request_id;

-- name: credentials_replace
INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
SELECT account.id, account.username, account.realm, %(ha1)s, %(ha1_sha256)s
  FROM provisioner.account_status AS account
 WHERE account.id = %(account_id)s
ON CONFLICT (account_id) DO UPDATE
   SET ha1 = excluded.ha1, ha1_sha256 = excluded.ha1_sha256, realm = excluded.realm,
       rotated_at = now();

-- name: credentials_expire
DELETE FROM provisioner.credentials WHERE account_id = %(account_id)s;
