-- Imports as jobs: what was asked for, how far it is, what waits to be fetched.

-- name: import_insert
INSERT INTO provisioner.imports (customer_id, scope_project_id, project_id, kind, format, mode, recipient, actor)
VALUES (%(customer_id)s, %(scope_project_id)s, %(project_id)s, %(kind)s, %(format)s, %(mode)s,
        %(recipient)s, %(actor)s)
RETURNING *;

-- name: import
SELECT * FROM provisioner.imports
 WHERE id = %(import_id)s
   AND {import_scope};

-- name: import_lock
SELECT * FROM provisioner.imports
 WHERE id = %(import_id)s
   AND {import_scope}
   FOR NO KEY UPDATE;

-- name: errors
SELECT line, field, detail FROM provisioner.import_errors
 WHERE import_id = %(import_id)s
 ORDER BY line, field;

-- name: chunk_insert
INSERT INTO provisioner.import_chunks (import_id, no, content)
VALUES (%(import_id)s, %(no)s, %(content)s);

-- name: chunk
SELECT content FROM provisioner.import_chunks WHERE import_id = %(import_id)s AND no = %(no)s;

-- name: chunks_delete
DELETE FROM provisioner.import_chunks WHERE import_id = %(import_id)s;

-- name: upload_size
SELECT sum(octet_length(content))::bigint AS bytes
  FROM provisioner.import_chunks WHERE import_id = %(import_id)s;

-- name: uploaded
-- Gives the job to the workers.
UPDATE provisioner.imports SET status = 'validating' WHERE id = %(import_id)s RETURNING *;

-- name: quota_lock
-- One upload of a customer's ends at a time, so that none is missed when they are counted.
SELECT pg_advisory_xact_lock(
    hashtextextended('provisioner imports of customer', coalesce(%(customer_id)s::bigint, 0)));

-- name: waiting_count
SELECT count(*) AS waiting
  FROM provisioner.imports
 WHERE status IN ('validating', 'applying')
   AND coalesce(customer_id, 0) = coalesce(%(customer_id)s::bigint, 0);

-- name: next
-- The oldest import of the customer whose turn was longest ago; not those that were `tried`.
SELECT id
  FROM provisioner.imports AS waiting
 WHERE status IN ('validating', 'applying') AND id <> ALL (%(tried)s::bigint[])
 ORDER BY (SELECT max(started_at)
             FROM provisioner.imports AS served
            WHERE coalesce(served.customer_id, 0) = coalesce(waiting.customer_id, 0)) NULLS FIRST,
       id
 LIMIT 1;

-- name: claim
-- One worker has an import at a time, for as long as its session lives.
SELECT pg_try_advisory_lock(hashtextextended('provisioner import', %(import_id)s)) AS claimed;

-- name: unclaim
SELECT pg_advisory_unlock(hashtextextended('provisioner import', %(import_id)s));

-- name: attempt
UPDATE provisioner.imports SET attempts = attempts + 1, started_at = clock_timestamp()
 WHERE id = %(import_id)s AND status IN ('validating', 'applying')
RETURNING *;

-- name: progress
-- No row: it was cancelled meanwhile.
UPDATE provisioner.imports
   SET status = %(status)s, progress = %(progress)s, rows_done = %(rows_done)s
 WHERE id = %(import_id)s AND status IN ('validating', 'applying');

-- name: finish
-- In the transaction that applied it. No row: it was cancelled meanwhile.
UPDATE provisioner.imports
   SET status = %(status)s, progress = 1, rows_total = %(rows_total)s, rows_done = %(rows_done)s,
       rows_bad = %(rows_bad)s, detail = %(detail)s, finished_at = now()
 WHERE id = %(import_id)s AND status IN ('uploading', 'validating', 'applying')
RETURNING *;

-- name: credentials_insert
INSERT INTO provisioner.import_credentials (import_id, no, content)
VALUES (%(import_id)s, %(no)s, %(content)s);

-- name: credentials
SELECT content FROM provisioner.import_credentials WHERE import_id = %(import_id)s AND no = %(no)s;

-- name: credentials_delete
DELETE FROM provisioner.import_credentials WHERE import_id = %(import_id)s;

-- name: credentials_expire
-- Nobody came for them in a day: the accounts' credentials are to be rotated.
DELETE FROM provisioner.import_credentials
 USING provisioner.imports
 WHERE imports.id = import_id AND imports.finished_at < now() - interval '24 hours';
