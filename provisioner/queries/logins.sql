-- People who log in: passwords, second factors, invitations, sessions, forms.

-- name: candidates
-- Email addresses are a customer's own, so several users may have the same.
SELECT * FROM provisioner.users
 WHERE lower(email) = lower(%(email)s) AND password_hash IS NOT NULL AND active
 ORDER BY id LIMIT %(limit)s;

-- name: anybody
SELECT FROM provisioner.users WHERE password_hash IS NOT NULL LIMIT 1;

-- name: operators
SELECT * FROM provisioner.users WHERE customer_id IS NULL AND lower(email) = lower(%(email)s);

-- name: secrets_lock
SELECT * FROM provisioner.users WHERE id = %(id)s FOR UPDATE;

-- name: password_set
UPDATE provisioner.users SET password_hash = %(hash)s, password_changed_at = now()
 WHERE id = %(id)s;

-- name: totp_set
UPDATE provisioner.users SET totp_sealed = %(sealed)s, totp_counter = %(counter)s
 WHERE id = %(id)s;

-- name: totp_used
-- No row: this code, or a later one, was taken before.
UPDATE provisioner.users SET totp_counter = %(counter)s
 WHERE id = %(id)s AND totp_counter < %(counter)s;

-- name: language_set
UPDATE provisioner.users SET language = %(language)s WHERE id = %(id)s;

-- name: session_insert
INSERT INTO provisioner.sessions (sha256, user_id, source, user_agent)
VALUES (%(sha256)s, %(user_id)s, %(source)s, %(user_agent)s);

-- name: session
SELECT users.*, sessions.id AS session_id,
       sessions.last_seen_at < now() - interval '1 minute' AS stale
  FROM provisioner.sessions
  JOIN provisioner.users ON users.id = sessions.user_id
 WHERE sessions.sha256 = %(sha256)s AND users.active
   AND sessions.last_seen_at > now() - make_interval(hours => %(idle_hours)s)
   AND sessions.created_at > now() - make_interval(days => %(days)s);

-- name: session_seen
UPDATE provisioner.sessions SET last_seen_at = now() WHERE id = %(id)s;

-- name: sessions_of
SELECT id, created_at, last_seen_at, source, user_agent FROM provisioner.sessions
 WHERE user_id = %(user_id)s
   AND last_seen_at > now() - make_interval(hours => %(idle_hours)s)
   AND created_at > now() - make_interval(days => %(days)s)
 ORDER BY last_seen_at DESC;

-- name: session_end
DELETE FROM provisioner.sessions WHERE sha256 = %(sha256)s;

-- name: session_end_by_id
DELETE FROM provisioner.sessions WHERE id = %(id)s AND user_id = %(user_id)s;

-- name: sessions_end
-- All of a user's but the one that is kept.
DELETE FROM provisioner.sessions
 WHERE user_id = %(user_id)s AND id IS DISTINCT FROM %(keep)s;

-- name: sessions_prune
DELETE FROM provisioner.sessions
 WHERE last_seen_at < now() - make_interval(hours => %(idle_hours)s)
    OR created_at < now() - make_interval(days => %(days)s);

-- name: invitation_set
INSERT INTO provisioner.invitations (user_id, sha256, expires_at)
VALUES (%(user_id)s, %(sha256)s, now() + make_interval(hours => %(hours)s))
ON CONFLICT (user_id) DO UPDATE
   SET sha256 = excluded.sha256, expires_at = excluded.expires_at
RETURNING expires_at;

-- name: invitation
SELECT users.* FROM provisioner.invitations
  JOIN provisioner.users ON users.id = invitations.user_id
 WHERE invitations.sha256 = %(sha256)s AND invitations.expires_at > now() AND users.active
   FOR UPDATE;

-- name: invitation_delete
DELETE FROM provisioner.invitations WHERE user_id = %(user_id)s;

-- name: submission_claim
-- Waits for the same form that is being served. No row: it was sent before.
INSERT INTO provisioner.submissions (user_id, key) VALUES (%(user_id)s, %(key)s)
ON CONFLICT DO NOTHING;

-- name: submission_done
UPDATE provisioner.submissions SET location = %(location)s
 WHERE user_id = %(user_id)s AND key = %(key)s;

-- name: submission
SELECT location FROM provisioner.submissions WHERE user_id = %(user_id)s AND key = %(key)s;

-- name: submissions_prune
DELETE FROM provisioner.submissions WHERE created_at < now() - make_interval(hours => %(hours)s);
