-- Customers, projects, users and tokens.

-- name: token
-- An inactive user's token is refused, and one that has expired. The realm is for who creates accounts:
-- he need not ask.
SELECT *, (SELECT realm FROM provisioner.installation) AS realm FROM provisioner.token_status
 WHERE sha256 = %(sha256)s AND active AND (expires_at IS NULL OR expires_at > now());

-- name: token_insert
INSERT INTO provisioner.api_tokens
       (name, role, customer_id, project_id, user_id, expires_at, sha256)
VALUES (%(name)s, %(role)s, %(customer_id)s, %(project_id)s, %(user_id)s, %(expires_at)s,
        %(sha256)s)
RETURNING id;

-- name: token_by_id
SELECT * FROM provisioner.token_status WHERE id = %(id)s AND {scope};

-- name: token_delete
DELETE FROM provisioner.api_tokens WHERE id = %(id)s;

-- name: customer
SELECT * FROM provisioner.customers WHERE id = %(id)s AND {customer_scope};

-- name: customer_lock
SELECT * FROM provisioner.customers WHERE id = %(id)s AND {customer_scope}
   FOR UPDATE;

-- name: customer_insert
INSERT INTO provisioner.customers (name, external_id) VALUES (%(name)s, %(external_id)s)
RETURNING *;

-- name: customer_update
UPDATE provisioner.customers
   SET name = %(name)s, external_id = %(external_id)s, changed_at = now()
 WHERE id = %(id)s
RETURNING *;

-- name: customer_delete
DELETE FROM provisioner.customers WHERE id = %(id)s;

-- name: project
SELECT * FROM provisioner.projects WHERE id = %(id)s AND {project_scope};

-- name: project_lock
SELECT * FROM provisioner.projects WHERE id = %(id)s AND {project_scope}
   FOR UPDATE;

-- name: project_default
-- Whoever names no project means the first one that he sees.
SELECT * FROM provisioner.projects
 WHERE {project_scope}
 ORDER BY id LIMIT 1;

-- name: project_insert
INSERT INTO provisioner.projects (customer_id, name, external_id)
VALUES (%(customer_id)s, %(name)s, %(external_id)s)
RETURNING *;

-- name: project_update
UPDATE provisioner.projects
   SET name = %(name)s, external_id = %(external_id)s, changed_at = now()
 WHERE id = %(id)s
RETURNING *;

-- name: project_delete
DELETE FROM provisioner.projects WHERE id = %(id)s;

-- name: user
SELECT * FROM provisioner.users WHERE id = %(id)s AND {user_scope};

-- name: user_lock
SELECT * FROM provisioner.users WHERE id = %(id)s AND {user_scope}
   FOR UPDATE;

-- name: user_insert
INSERT INTO provisioner.users (customer_id, email, name, role, active)
VALUES (%(customer_id)s, %(email)s, %(name)s, %(role)s, %(active)s)
RETURNING *;

-- name: user_update
UPDATE provisioner.users
   SET email = %(email)s, name = %(name)s, role = %(role)s, active = %(active)s, changed_at = now()
 WHERE id = %(id)s
RETURNING *;

-- name: user_delete
DELETE FROM provisioner.users WHERE id = %(id)s;

-- name: key_claim
-- A key that was used longer ago than it is kept is free again. Waits for a request with the same
-- key that is being served. No row: it was used before.
INSERT INTO provisioner.idempotency_keys AS present (token_id, key, request)
VALUES (%(token_id)s, %(key)s, %(request)s)
ON CONFLICT (token_id, key) DO UPDATE
   SET request = excluded.request, status = NULL, body = NULL, location = NULL,
       created_at = now()
 WHERE present.created_at < now() - make_interval(hours => %(hours)s);

-- name: key
SELECT request, status, body, location FROM provisioner.idempotency_keys
 WHERE token_id = %(token_id)s AND key = %(key)s;

-- name: key_answer
UPDATE provisioner.idempotency_keys
   SET request = %(request)s, status = %(status)s, body = %(body)s, location = %(location)s
 WHERE token_id = %(token_id)s AND key = %(key)s;

-- name: keys_prune
DELETE FROM provisioner.idempotency_keys
 WHERE created_at < now() - make_interval(hours => %(hours)s);
