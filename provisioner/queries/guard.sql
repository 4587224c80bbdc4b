-- What guards calls and passwords: a project's call policy, the calls that were refused, and accounts
-- whose password is guessed at.

-- name: call_policy
SELECT allowed_prefixes, blocked_prefixes, daily_spend_cap, calls_per_second, spent_today
  FROM provisioner.call_policies
 WHERE id = %(project_id)s;

-- name: call_policy_update
UPDATE provisioner.projects
   SET allowed_prefixes = %(allowed_prefixes)s, blocked_prefixes = %(blocked_prefixes)s,
       daily_spend_cap = %(daily_spend_cap)s, calls_per_second = %(calls_per_second)s
 WHERE id = %(project_id)s;

-- name: spend_left
SELECT kamailio.spend_left(%(project_id)s) AS spend_left;

-- name: refusals
-- An account's last refusal of each reason, the latest first, and whether the same call would be
-- refused now.
SELECT refusal.reason, refusal.direction, refusal.called, refusal.last_at AS at, refusal.calls,
       CASE refusal.reason
           WHEN 'channels' THEN account.channels_used >= account.voice_channels
           WHEN 'destination'
           THEN NOT kamailio.destination_allowed(account.project_id, refusal.called)
           WHEN 'spend_cap' THEN NOT kamailio.spend_left(account.project_id)
           ELSE false
       END AS holds
  FROM provisioner.call_refusals AS refusal
  JOIN provisioner.account_status AS account ON account.id = refusal.account_id
 WHERE refusal.account_id = %(account_id)s
 ORDER BY refusal.last_at DESC, refusal.reason;

-- name: refusal_due
-- The refusal that has waited longest to be told, held until the transaction ends; one that is being
-- counted at this moment is left for the next look.
SELECT refusal.account_id, refusal.reason, refusal.direction, refusal.called, refusal.last_at,
       refusal.untold AS calls, account.customer_id, account.project_id, account.external_id,
       account.generation AS version, account.voice_channels AS "limit",
       kamailio.channels_used(account.id) AS used
  FROM provisioner.call_refusals AS refusal
  JOIN provisioner.sip_accounts AS account ON account.id = refusal.account_id
 WHERE refusal.untold > 0
   AND (refusal.told_at IS NULL
        OR refusal.told_at <= now() - make_interval(secs => %(interval)s))
 ORDER BY refusal.told_at NULLS FIRST, refusal.last_at
 LIMIT 1
   FOR UPDATE OF refusal SKIP LOCKED;

-- name: refusal_told
UPDATE provisioner.call_refusals SET untold = 0, told_at = now()
 WHERE account_id = %(account_id)s AND reason = %(reason)s;

-- name: refusals_prune
-- Those of accounts that are gone, and old ones.
DELETE FROM provisioner.call_refusals AS refusal
 WHERE refusal.last_at < now() - make_interval(days => %(days)s)
    OR NOT EXISTS (SELECT FROM provisioner.sip_accounts AS account
                    WHERE account.id = refusal.account_id);

-- name: guessing
SELECT addresses, first_at, last_at
  FROM provisioner.guessing
 WHERE account_id = %(account_id)s;

-- name: guessing_due
-- The account that has waited longest to be told of, held until the transaction ends; one that is
-- being counted at this moment is left for the next look.
SELECT guessing.account_id, guessing.addresses, guessing.first_at, guessing.last_at,
       account.customer_id, account.project_id, account.external_id, account.generation AS version
  FROM provisioner.guessing
  JOIN provisioner.sip_accounts AS account ON account.id = guessing.account_id
 WHERE guessing.told_at IS NULL
    OR (guessing.last_at > guessing.told_at
        AND guessing.told_at <= now() - make_interval(secs => %(interval)s))
 ORDER BY guessing.told_at NULLS FIRST, guessing.last_at
 LIMIT 1
   FOR UPDATE OF guessing SKIP LOCKED;

-- name: guessing_told
UPDATE provisioner.guessing SET told_at = now() WHERE account_id = %(account_id)s;

-- name: guessing_prune
DELETE FROM provisioner.guessing WHERE last_at < now() - make_interval(days => %(days)s);
