-- What the worker reads and writes: nodes, pending work, differences, repairs.

-- name: nodes
-- A node that no worker has looked at lately is shown as unwatched. One that drains is drained once
-- what it had let in before has had the time to become a call (kamailio/defines.cfg,
-- KAMAILIO_DATABASE_TIMEOUT as it is by default, for each of two queries).
SELECT id, name, rpc_url, started_at, last_seen_at, last_compared_at, last_error, draining, dialogs,
       replica, replica_state, replica_lag,
       coalesce(draining AND state = 'up' AND last_seen_at > now() - interval '10 s' AND dialogs = 0
                AND refuses_since < now() - interval '5 s', false) AS drained,
       CASE WHEN state = 'up' AND last_seen_at < now() - interval '10 s' THEN 'unwatched'
            ELSE state
       END AS state,
       (SELECT count(*) FROM provisioner.pending_kicks
         WHERE node_id = nodes.id AND confirmed_at IS NULL)
       + (SELECT count(*) FROM provisioner.pending_reloads WHERE node_id = nodes.id) AS pending
  FROM provisioner.nodes
 ORDER BY name;

-- name: node_rename
UPDATE provisioner.nodes SET name = %(name)s WHERE rpc_url = %(rpc_url)s AND name <> %(name)s;

-- name: node_upsert
INSERT INTO provisioner.nodes (name, rpc_url) VALUES (%(name)s, %(rpc_url)s)
ON CONFLICT (name) DO UPDATE SET rpc_url = excluded.rpc_url, incarnation = NULL
 WHERE nodes.rpc_url <> excluded.rpc_url;

-- name: node_insert
INSERT INTO provisioner.nodes (name, rpc_url) VALUES (%(name)s, %(rpc_url)s)
ON CONFLICT DO NOTHING;

-- name: node_drain
UPDATE provisioner.nodes SET draining = %(draining)s
 WHERE name = %(name)s AND draining <> %(draining)s;

-- name: node_delete
DELETE FROM provisioner.nodes WHERE name = %(name)s;

-- name: node_lock
-- A session's lock: only one worker speaks to a node, and it is free when its session ends.
SELECT pg_try_advisory_lock(hashtext('provisioner node'), %(node_id)s::integer) AS locked;

-- name: node_seen
-- Also tells for how long it has not confirmed all that it was asked for (s); NULL: it has.
UPDATE provisioner.nodes
   SET state = %(state)s, started_at = %(started_at)s, last_seen_at = now(), dialogs = %(dialogs)s,
       refuses_since = CASE WHEN %(refuses)s THEN coalesce(refuses_since, now()) END
 WHERE id = %(node_id)s AND rpc_url = %(rpc_url)s
RETURNING draining, extract(epoch FROM now() - least(
           (SELECT min(pending_since) FROM provisioner.pending_kicks
             WHERE node_id = nodes.id AND confirmed_at IS NULL),
           (SELECT pending_since FROM provisioner.pending_reloads WHERE node_id = nodes.id)
       ))::float AS behind;

-- name: node_mark
SELECT last_seen_at FROM provisioner.nodes WHERE id = %(node_id)s;

-- name: node_replica
UPDATE provisioner.nodes
   SET replica = %(address)s, replica_state = %(state)s, replica_lag = %(lag_seconds)s
 WHERE id = %(node_id)s
   AND (replica, replica_state, replica_lag)
       IS DISTINCT FROM (%(address)s::text, %(state)s::text, %(lag_seconds)s::double precision);

-- name: node_former
-- What the node called itself before it called itself as it does now, if that is another name.
SELECT incarnation FROM provisioner.nodes
 WHERE id = %(node_id)s AND incarnation <> %(incarnation)s
   FOR UPDATE;

-- name: node_forget
SELECT kamailio.forget_node(%(incarnation)s);

-- name: node_incarnation
UPDATE provisioner.nodes SET incarnation = %(incarnation)s WHERE id = %(node_id)s;

-- name: node_away
UPDATE provisioner.nodes
   SET state = 'away', last_error = %(error)s, dialogs = NULL, refuses_since = NULL
 WHERE id = %(node_id)s;

-- name: node_failing
UPDATE provisioner.nodes SET last_error = %(error)s WHERE id = %(node_id)s;

-- name: node_compared
-- Whatever failed before is told again if work for it is still pending.
UPDATE provisioner.nodes
   SET last_compared_at = now(),
       last_error = CASE WHEN EXISTS (SELECT FROM provisioner.pending_reloads WHERE node_id = id)
                           OR EXISTS (SELECT FROM provisioner.pending_kicks WHERE node_id = id)
                         THEN last_error END
 WHERE id = %(node_id)s;

-- name: kicks_due
-- Pending work with what decides it. Work is never put off for long, so what is due much later was put
-- off before the clock was set back.
SELECT {kick}
  FROM (SELECT * FROM provisioner.pending_kicks
         WHERE node_id = %(node_id)s AND confirmed_at IS NULL
           AND due_at NOT BETWEEN now() + interval '1 us' AND now() + interval '1 min'
         ORDER BY due_at
         LIMIT %(limit)s) AS kick
  LEFT JOIN provisioner.desired_subscriber AS desired ON desired.username = kick.username
 ORDER BY kick.due_at;

-- name: second_looks_due
-- The same of what was done once.
SELECT {kick}
  FROM (SELECT * FROM provisioner.pending_kicks
         WHERE node_id = %(node_id)s AND confirmed_at IS NOT NULL
           AND due_at NOT BETWEEN now() + interval '1 us' AND now() + interval '1 min'
         LIMIT %(limit)s) AS kick
  LEFT JOIN provisioner.desired_subscriber AS desired ON desired.username = kick.username;

-- fragment: kick
-- With the account as it is now, if it still is.
kick.username, kick.generation, kick.drop_all,
       kick.confirmed_at IS NOT NULL AS confirmed,
       coalesce(desired.registration_allowed, false) AS may_register,
       coalesce(desired.source_group > 0, false) AS cloudfire,
       coalesce(string_to_array(desired.allowed_networks, ','), '{}') AS own,
       coalesce(kick.asked_at, now()) AS asked_at,
       coalesce(kick.asked_at < clock_timestamp() - interval '0.5 s', false) AS late

-- name: node_behind
-- For how long a node has not been told of all changes (s); no row where it is not known any more.
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(kick.pending_since)), 0)::float AS seconds
  FROM provisioner.nodes
  LEFT JOIN provisioner.pending_kicks AS kick
    ON kick.node_id = nodes.id AND kick.confirmed_at IS NULL
 WHERE nodes.id = %(node_id)s
 GROUP BY nodes.id;

-- name: kicks_shown
-- Asked at a replica: are these changes there? Their work was left in the same transactions.
SELECT NOT EXISTS (
    SELECT FROM unnest(%(usernames)s::text[], %(generations)s::bigint[]) AS due (username, generation)
      LEFT JOIN provisioner.pending_kicks AS kick
        ON kick.node_id = %(node_id)s AND kick.username = due.username
       AND kick.generation >= due.generation
     WHERE kick.username IS NULL) AS shown;

-- name: kick_postpone
UPDATE provisioner.pending_kicks
   SET due_at = now() + make_interval(secs => %(seconds)s)
 WHERE node_id = %(node_id)s AND username = %(username)s;

-- name: accounts_lock
-- Taken before pending rows are, in the order in which account operations take both.
SELECT account.id
  FROM unnest(%(usernames)s::text[]) AS done (username)
  JOIN provisioner.sip_accounts AS account ON account.main_number = '+' || done.username
 ORDER BY account.id
   FOR NO KEY UPDATE OF account;

-- name: kicks_confirm
-- A row that has a newer generation by now stays as it is.
-- Returns what was confirmed, for whom, and how long after it was asked for.
UPDATE provisioner.pending_kicks AS kick
   SET confirmed_at = now(), drop_all = false,
       due_at = now() + make_interval(secs => %(again_after)s)
  FROM unnest(%(usernames)s::text[], %(generations)s::bigint[]) AS done (username, generation)
 WHERE kick.node_id = %(node_id)s AND kick.username = done.username
   AND kick.generation = done.generation
RETURNING kick.account_id, kick.generation, kick.request_id, kick.traceparent, {since_asked};

-- fragment: since_asked
extract(epoch FROM clock_timestamp() - asked_at)::double precision * 1000 AS ms

-- name: accounts_converged
UPDATE provisioner.sip_accounts AS account
   SET converged_at = now()
  FROM unnest(%(usernames)s::text[]) AS done (username)
 WHERE account.main_number = '+' || done.username;

-- name: kicks_finish
DELETE FROM provisioner.pending_kicks AS kick
 USING unnest(%(usernames)s::text[], %(generations)s::bigint[]) AS done (username, generation)
 WHERE kick.node_id = %(node_id)s AND kick.username = done.username
   AND kick.generation = done.generation AND kick.confirmed_at IS NOT NULL;

-- name: kick_next
SELECT least(
           (SELECT min(due_at) FROM provisioner.pending_kicks
             WHERE node_id = %(node_id)s AND confirmed_at IS NULL),
           (SELECT due_at FROM provisioner.pending_reloads WHERE node_id = %(node_id)s)
       ) AS due_at, now() AS now;

-- name: bindings_erase
-- Kamailio writes bindings to its table in the background; a row left behind would bring a
-- binding back when the node restarts.
DELETE FROM kamailio.location
 WHERE username = ANY (%(usernames)s)
   AND domain = (SELECT realm FROM provisioner.installation);

-- name: bindings_count
-- No further than to the limit, so that many do not take long.
SELECT count(*) AS bindings FROM (SELECT FROM kamailio.location LIMIT %(limit)s) AS bound;

-- name: bound_usernames
SELECT DISTINCT username FROM kamailio.location
 WHERE domain = (SELECT realm FROM provisioner.installation) AND username ~ '^[0-9]+$';

-- name: binding_erase
DELETE FROM kamailio.location WHERE ruid = %(ruid)s;

-- name: reload_due
-- As for kicks_due; a reload is put off for `longest` seconds at the most.
SELECT generation FROM provisioner.pending_reloads
 WHERE node_id = %(node_id)s
   AND due_at NOT BETWEEN now() + interval '1 us' AND now() + make_interval(secs => %(longest)s);

-- name: reload_pending
SELECT FROM provisioner.pending_reloads WHERE node_id = %(node_id)s;

-- name: reload_postpone
UPDATE provisioner.pending_reloads
   SET due_at = now() + make_interval(secs => %(seconds)s)
 WHERE node_id = %(node_id)s;

-- name: reload_finish
-- No row: a newer change asks for another one.
WITH finished AS (
    DELETE FROM provisioner.pending_reloads
     WHERE node_id = %(node_id)s AND generation = %(generation)s
 RETURNING generation, request_id, traceparent, {since_asked}
), converged AS (
    UPDATE provisioner.networks SET converged_at = now() WHERE EXISTS (SELECT FROM finished))
SELECT NULL::bigint AS account_id, * FROM finished;

-- name: restricted_accounts
-- The accounts that may register, but not from anywhere, with where they may; without those about
-- which that node has work, if one is named.
SELECT username, source_group > 0 AS cloudfire, string_to_array(allowed_networks, ',') AS own
  FROM provisioner.desired_subscriber
 WHERE registration_allowed AND (source_group > 0 OR allowed_networks <> '')
   AND username = ANY (%(usernames)s)
   AND NOT EXISTS (
       SELECT FROM provisioner.pending_kicks AS kick
        WHERE kick.node_id = %(node_id)s AND kick.username = desired_subscriber.username);

-- name: cloudfire_cidrs
SELECT network_cidrs.cidr::text AS cidr
  FROM provisioner.network_cidrs
  JOIN provisioner.networks ON networks.id = network_cidrs.network_id
 WHERE networks.name = 'cloudfire';

-- name: allowlist_rows
-- What a node loads of the groups that are ours; a row without a mark is the operator's own.
SELECT grp, ip_addr, mask, network_id IS NOT NULL AS ours FROM kamailio.address
 WHERE grp IN (SELECT source_group FROM provisioner.networks);

-- name: own_groups
SELECT source_group FROM provisioner.networks;

-- name: bindings_unwanted
-- Of the usernames that have bindings, those of our accounts that may have none. Bindings of
-- anybody else are not ours to judge; a deleted account's have their own pending work.
SELECT bound.username, account.id AS account_id
  FROM unnest(%(usernames)s::text[]) AS bound (username)
  JOIN provisioner.sip_accounts AS account ON account.main_number = '+' || bound.username
  LEFT JOIN provisioner.desired_subscriber AS desired ON desired.account_id = account.id
 WHERE desired.registration_allowed IS NOT TRUE
   AND NOT EXISTS (
       SELECT FROM provisioner.pending_kicks AS kick
        WHERE kick.node_id = %(node_id)s AND kick.username = bound.username);

-- name: calls_to_end
-- The calls at a node of accounts that are disabled or gone, for which work is due. A disabled
-- account may have new ones: emergency calls, and calls that it transfers.
SELECT kick.username, leg.call, leg.dialog_entry, leg.dialog_id, leg.sip_call_id, leg.sip_cseq,
       bool_or(leg.answered_at IS NOT NULL) AS answered
  FROM provisioner.pending_kicks AS kick
  JOIN kamailio.calls AS leg ON leg.account_number = '+' || kick.username
  LEFT JOIN provisioner.sip_accounts AS account ON account.id = leg.account_id
 WHERE kick.node_id = %(node_id)s AND kick.username = ANY (%(usernames)s)
   AND leg.node = %(incarnation)s AND NOT leg.emergency
   AND (account.id IS NULL OR account.state = 'disabled')
   AND (kick.confirmed_at IS NULL OR leg.started_at < kick.confirmed_at OR NOT {transferred})
 GROUP BY kick.username, leg.call, leg.dialog_entry, leg.dialog_id, leg.sip_call_id, leg.sip_cseq
 ORDER BY leg.call;

-- name: calls_end
SELECT kamailio.end_call(call, 200) FROM unnest(%(calls)s::bigint[]) AS call ORDER BY call;

-- fragment: transferred
EXISTS (SELECT FROM kamailio.calls AS onward
         WHERE onward.call = leg.call AND onward.account_id = leg.account_id
           AND onward.direction = 'out' AND NOT onward.counted)

-- name: calls_unwanted
-- Who has calls at a node that should have ended, and no work about it: a call was begun in the
-- very moment in which its account was disabled.
SELECT DISTINCT leg.account_id, ltrim(leg.account_number, '+') AS username
  FROM kamailio.calls AS leg
  LEFT JOIN provisioner.sip_accounts AS account ON account.id = leg.account_id
 WHERE leg.node = %(incarnation)s AND NOT leg.emergency
   AND (account.id IS NULL OR account.state = 'disabled')
   AND NOT {transferred}
   AND NOT EXISTS (
       SELECT FROM provisioner.pending_kicks AS kick
        WHERE kick.node_id = %(node_id)s AND leg.account_number = '+' || kick.username);

-- name: calls_begun
-- The calls that a node ought to know: a call's dialog is there before the call is written down.
SELECT call, account_number, dialog_entry, dialog_id
  FROM kamailio.calls
 WHERE node = %(incarnation)s AND started_at < now() - make_interval(secs => %(seconds)s)
 ORDER BY call, id;

-- name: call_forget
-- When the node was compared last it knew the call, or the call had not begun.
SELECT kamailio.forget_call(
           %(call)s,
           coalesce((SELECT last_compared_at FROM provisioner.nodes WHERE id = %(node_id)s),
                    '-infinity'));

-- name: lost_calls_record
SELECT kamailio.record_lost_calls();

-- name: subscriber_differences
-- Our rows of Kamailio's subscriber table against the rows that ought to exist.
SELECT coalesce(desired.account_id, present.account_id) AS account_id,
       coalesce(desired.username, present.username) AS username,
       present.id AS row_id,
       CASE WHEN desired.account_id IS NULL THEN 'delete'
            WHEN present.id IS NULL THEN 'insert'
            ELSE 'update'
       END AS action,
       array_remove(ARRAY[
           CASE WHEN present.password <> desired.password THEN 'password' END,
           CASE WHEN present.ha1b <> desired.ha1b THEN 'ha1b' END,
           CASE WHEN present.ha1 <> desired.ha1 THEN 'ha1' END,
           CASE WHEN present.ha1_sha256 <> desired.ha1_sha256 THEN 'ha1_sha256' END,
           CASE WHEN present.registration_allowed <> desired.registration_allowed
                THEN 'registration_allowed' END,
           CASE WHEN present.channels <> desired.channels THEN 'channels' END,
           CASE WHEN present.source_group <> desired.source_group THEN 'source_group' END,
           CASE WHEN present.allowed_networks <> desired.allowed_networks
                THEN 'allowed_networks' END
       ], NULL) AS columns
  FROM provisioner.desired_subscriber AS desired
  FULL JOIN (SELECT * FROM kamailio.subscriber WHERE account_id IS NOT NULL) AS present
    ON (present.account_id, present.username, present.domain)
     = (desired.account_id, desired.username, desired.domain)
 WHERE desired.account_id IS NULL OR present.id IS NULL
    OR (present.password, present.ha1b, present.ha1, present.ha1_sha256,
        present.registration_allowed, present.channels, present.source_group,
        present.allowed_networks)
    <> (desired.password, desired.ha1b, desired.ha1, desired.ha1_sha256,
        desired.registration_allowed, desired.channels, desired.source_group,
        desired.allowed_networks)
 ORDER BY coalesce(desired.account_id, present.account_id), action;

-- name: address_differences
SELECT coalesce(desired.ip_addr, present.ip_addr) || '/' || coalesce(desired.mask, present.mask)
           AS cidr,
       CASE WHEN desired.network_id IS NULL THEN 'delete'
            WHEN present.id IS NULL THEN 'insert'
            ELSE 'update'
       END AS action,
       coalesce(desired.tag, present.tag) AS tag
  FROM provisioner.desired_address AS desired
  FULL JOIN (SELECT * FROM kamailio.address WHERE network_id IS NOT NULL) AS present
    ON (present.network_id, present.grp, present.ip_addr, present.mask, present.port)
     = (desired.network_id, desired.grp, desired.ip_addr, desired.mask, desired.port)
 WHERE desired.network_id IS NULL OR present.id IS NULL
    OR present.tag IS DISTINCT FROM desired.tag
 ORDER BY action, cidr;

-- name: rows_present
SELECT (SELECT count(*) FROM kamailio.subscriber WHERE account_id IS NOT NULL) AS subscriber,
       (SELECT count(*) FROM kamailio.address WHERE network_id IS NOT NULL) AS address;

-- name: comparison_lock
-- A session's lock: one worker compares the tables at a time.
SELECT pg_try_advisory_lock(hashtext('provisioner comparison')) AS locked;

-- name: account_lock
SELECT id FROM provisioner.sip_accounts WHERE id = %(account_id)s FOR UPDATE;

-- name: repair_insert
INSERT INTO provisioner.repairs (node_id, target, action, key, detail)
VALUES (%(node_id)s, %(target)s, %(action)s, %(key)s, %(detail)s);

-- name: repairs_prune
-- Old ones, of the oldest rows: where there is nothing to forget, few rows are looked at.
DELETE FROM provisioner.repairs
 WHERE id IN (SELECT id
                FROM (SELECT id, repaired_at FROM provisioner.repairs
                       ORDER BY id LIMIT %(limit)s) AS oldest
               WHERE repaired_at < now() - make_interval(days => %(days)s));

-- name: repairs_latest
SELECT repairs.repaired_at AS at, nodes.name AS node, target, action, key
  FROM provisioner.repairs
  LEFT JOIN provisioner.nodes ON nodes.id = repairs.node_id
 ORDER BY repairs.id DESC LIMIT %(limit)s;
