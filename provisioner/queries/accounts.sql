-- Numbers and SIP accounts.

-- name: realm
SELECT realm FROM provisioner.installation;

-- name: number_insert
INSERT INTO provisioner.numbers (number, customer_id, project_id, external_id, state)
VALUES (%(number)s, %(customer_id)s, %(project_id)s, %(external_id)s, %(state)s)
RETURNING *;

-- name: number
SELECT * FROM provisioner.numbers
 WHERE number = %(number)s AND {scope};

-- name: number_lock
SELECT * FROM provisioner.numbers
 WHERE number = %(number)s AND {scope}
   FOR UPDATE;

-- name: number_update
UPDATE provisioner.numbers
   SET state = %(state)s, external_id = %(external_id)s,
       generation = nextval('provisioner.generation'), changed_at = now()
 WHERE number = %(number)s
RETURNING *;

-- name: numbers_linked
SELECT * FROM provisioner.numbers
 WHERE account_id = %(account_id)s
 ORDER BY number;

-- name: number_take
-- Binds a choosable number to an account. No row: it is unknown, not active or taken.
UPDATE provisioner.numbers
   SET account_id = %(account_id)s,
       generation = nextval('provisioner.generation'), changed_at = now()
 WHERE project_id = %(project_id)s AND number = %(number)s
   AND state = 'active' AND account_id IS NULL;

-- name: number_free
UPDATE provisioner.numbers
   SET account_id = NULL,
       generation = nextval('provisioner.generation'), changed_at = now()
 WHERE account_id = %(account_id)s AND number = %(number)s;

-- name: accounts_named
SELECT id, name FROM provisioner.sip_accounts WHERE id = ANY (%(ids)s) AND {scope};

-- name: numbers_additional
SELECT numbers.number
  FROM provisioner.numbers
  JOIN provisioner.sip_accounts AS account ON account.id = numbers.account_id
 WHERE account.id = %(account_id)s AND numbers.number <> account.main_number
 ORDER BY numbers.number;

-- name: account_create
-- A new account as it is shown, and whether an endpoint is to be told of it.
SELECT account.*,
       EXISTS (SELECT FROM provisioner.webhook_endpoints AS endpoint
                WHERE (endpoint.customer_id IS NULL OR endpoint.customer_id = account.customer_id)
                  AND (endpoint.project_id IS NULL OR endpoint.project_id = account.project_id)
              ) AS heard
  FROM provisioner.create_account(
       %(scope_customer)s, %(scope_project)s, %(project_id)s, %(external_id)s, %(name)s,
       %(main_number)s, %(voice_channels)s, %(tariff)s, %(cloudfire_only)s, %(allowed_networks)s::cidr[],
       %(realm)s, %(ha1)s, %(ha1_sha256)s, %(via)s, %(actor_id)s, %(actor_name)s, %(source)s,
       %(request_id)s) AS account;

-- name: credentials_upsert
INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
VALUES (%(account_id)s, %(username)s, %(realm)s, %(ha1)s, %(ha1_sha256)s)
ON CONFLICT (account_id) DO UPDATE
   SET ha1 = excluded.ha1, ha1_sha256 = excluded.ha1_sha256, realm = excluded.realm,
       rotated_at = now();

-- name: credentials_exist
SELECT FROM provisioner.credentials WHERE account_id = %(account_id)s;

-- name: account_lock
-- Whoever changes an account or its projection holds this lock, so that changes follow each other.
SELECT id FROM provisioner.sip_accounts
 WHERE id = %(account_id)s AND {scope}
   FOR UPDATE;

-- name: account
SELECT * FROM provisioner.account_status
 WHERE id = %(account_id)s AND {scope};

-- name: account_update
-- Writes an account's configuration as a new generation.
UPDATE provisioner.sip_accounts
   SET external_id = %(external_id)s, name = %(name)s, voice_channels = %(voice_channels)s,
       tariff = %(tariff)s, cloudfire_only = %(cloudfire_only)s,
       allowed_networks = %(allowed_networks)s::cidr[], state = %(state)s,
       generation = nextval('provisioner.generation'), changed_at = now(), converged_at = now()
 WHERE id = %(account_id)s;

-- name: account_delete
DELETE FROM provisioner.sip_accounts WHERE id = %(account_id)s;

-- name: subscriber_project
-- Copies the account's desired row into Kamailio's table. A row that holds our secret is ours, even
-- if its mark was lost. No row: the username belongs to a row of the operator's own.
INSERT INTO kamailio.subscriber AS present
       (account_id, username, domain, password, ha1b, ha1, ha1_sha256, registration_allowed,
        channels, source_group, allowed_networks)
SELECT account_id, username, domain, password, ha1b, ha1, ha1_sha256, registration_allowed,
       channels, source_group, allowed_networks
  FROM provisioner.desired_subscriber
 WHERE account_id = %(account_id)s
ON CONFLICT (username, domain) DO UPDATE
   SET password = excluded.password, ha1b = excluded.ha1b, ha1 = excluded.ha1,
       ha1_sha256 = excluded.ha1_sha256, registration_allowed = excluded.registration_allowed,
       channels = excluded.channels, source_group = excluded.source_group,
       allowed_networks = excluded.allowed_networks, account_id = excluded.account_id
 WHERE present.account_id = excluded.account_id
    OR (present.account_id IS NULL AND present.ha1 = excluded.ha1)
RETURNING account_id;

-- name: subscriber_erase_unwanted
-- Removes an account's rows other than the one that ought to exist.
DELETE FROM kamailio.subscriber AS present
 WHERE present.account_id = %(account_id)s
   AND NOT EXISTS (
       SELECT FROM provisioner.desired_subscriber AS desired
        WHERE (desired.account_id, desired.username, desired.domain)
            = (present.account_id, present.username, present.domain));

-- name: subscriber_erase
DELETE FROM kamailio.subscriber WHERE account_id = %(account_id)s;

-- name: kick
-- Leaves work for one node, or for all where node_id is null: the account's bindings that are no
-- longer allowed must go. The newest change's request is the one that is followed.
INSERT INTO provisioner.pending_kicks AS present
       (node_id, username, generation, drop_all, account_id, request_id, traceparent, asked_at)
SELECT nodes.id, %(username)s, nextval('provisioner.generation'), %(drop_all)s,
       (SELECT account.id FROM provisioner.sip_accounts AS account
         WHERE account.main_number = '+' || %(username)s),
       %(request_id)s, %(traceparent)s, clock_timestamp()
  FROM provisioner.nodes
 WHERE %(node_id)s::bigint IS NULL OR id = %(node_id)s
ON CONFLICT (node_id, username) DO UPDATE
   SET generation = excluded.generation,
       drop_all = (present.drop_all AND present.confirmed_at IS NULL) OR excluded.drop_all,
       pending_since = CASE WHEN present.confirmed_at IS NULL THEN present.pending_since
                            ELSE excluded.pending_since END,
       due_at = now(), confirmed_at = NULL, account_id = excluded.account_id,
       request_id = excluded.request_id, traceparent = excluded.traceparent,
       asked_at = excluded.asked_at;

-- name: kicks_unconfirmed
SELECT count(*) AS pending
  FROM provisioner.nodes
 WHERE nodes.state = 'catching_up' OR nodes.last_compared_at IS NULL
    OR EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                WHERE kick.node_id = nodes.id AND kick.confirmed_at IS NULL
                  AND kick.username = %(username)s);

-- name: caller_id_rules
SELECT * FROM provisioner.caller_id_rules
 WHERE account_id = %(account_id)s
 ORDER BY destination_prefix;

-- name: caller_id_rule_insert
INSERT INTO provisioner.caller_id_rules (account_id, destination_prefix, number)
VALUES (%(account_id)s, %(destination_prefix)s, %(number)s)
RETURNING *;

-- name: caller_id_rule_delete
DELETE FROM provisioner.caller_id_rules
 WHERE account_id = %(account_id)s AND id = %(rule_id)s
RETURNING *;

-- name: call_transfer
SELECT * FROM provisioner.call_transfers WHERE account_id = %(account_id)s;

-- name: call_transfer_save
INSERT INTO provisioner.call_transfers
       (account_id, unconditional_enabled, unconditional_target, no_answer_enabled,
        no_answer_target, unreachable_enabled, unreachable_target)
VALUES (%(account_id)s, %(unconditional_enabled)s, %(unconditional_target)s,
        %(no_answer_enabled)s, %(no_answer_target)s, %(unreachable_enabled)s,
        %(unreachable_target)s)
ON CONFLICT (account_id) DO UPDATE
   SET unconditional_enabled = excluded.unconditional_enabled,
       unconditional_target = excluded.unconditional_target,
       no_answer_enabled = excluded.no_answer_enabled,
       no_answer_target = excluded.no_answer_target,
       unreachable_enabled = excluded.unreachable_enabled,
       unreachable_target = excluded.unreachable_target;

-- name: transfers_lock
-- Two transfers set at once could close a loop that neither would close alone.
SELECT pg_advisory_xact_lock(hashtext('provisioner transfers'), %(customer_id)s::integer);

-- name: transfer_chain
-- Every account of the customer that a call to the number can be transferred to, one after another.
WITH RECURSIVE chain AS (
    SELECT account_id FROM provisioner.numbers
     WHERE number = %(target)s AND customer_id = %(customer_id)s AND account_id IS NOT NULL
     UNION
    SELECT numbers.account_id
      FROM chain
      JOIN kamailio.call_transfer AS transfer ON transfer.account_id = chain.account_id
      JOIN provisioner.numbers ON numbers.number = transfer.target
     WHERE numbers.customer_id = %(customer_id)s AND numbers.account_id IS NOT NULL
       AND chain.account_id <> %(account_id)s)
SELECT account_id FROM chain;
