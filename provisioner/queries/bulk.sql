-- Imports: the lines of a file are copied beside the tables, checked there as a whole, and then
-- inserted from there. Every statement does its work for all lines at once.

-- fragment: publish_told
-- Leaves what was told for the endpoints that see it, as the query `publish` does for one change.
, endpoint AS (
    SELECT id, customer_id, project_id, types
      FROM provisioner.webhook_endpoints
     WHERE active
       FOR KEY SHARE)
, event AS (
    INSERT INTO provisioner.outgoing_events (type, customer_id, project_id, data)
    SELECT told.type, told.customer_id, told.project_id,
           told.after || jsonb_build_object(
               'id', CASE told.subject WHEN 'account' THEN to_jsonb(told.subject_id::bigint)
                                       ELSE to_jsonb(told.subject_id) END,
               'version', told.version)
      FROM told
     WHERE EXISTS (
           SELECT FROM provisioner.webhook_endpoints AS endpoint
            WHERE (endpoint.customer_id IS NULL OR endpoint.customer_id = told.customer_id)
              AND (endpoint.project_id IS NULL OR endpoint.project_id = told.project_id)
              AND (endpoint.types = '{}' OR told.type = ANY (endpoint.types)))
    RETURNING id, type, customer_id, project_id)
INSERT INTO provisioner.webhook_deliveries (event_id, endpoint_id)
SELECT event.id, endpoint.id
  FROM event
  JOIN endpoint
    ON (endpoint.customer_id IS NULL OR endpoint.customer_id = event.customer_id)
   AND (endpoint.project_id IS NULL OR endpoint.project_id = event.project_id)
   AND (endpoint.types = '{}' OR event.type = ANY (endpoint.types))

-- name: rows_copy
COPY provisioner.import_rows
     (import_id, line, bad, number, name, project_id, external_id, state, voice_channels, tariff,
      cloudfire_only, allowed_networks)
FROM STDIN;

-- name: rows_count
SELECT count(*) AS total, count(*) FILTER (WHERE bad) AS bad
  FROM provisioner.import_rows
 WHERE import_id = %(import_id)s;

-- name: rows_delete
DELETE FROM provisioner.import_rows WHERE import_id = %(import_id)s;

-- name: plan_for_many
-- For the transaction. Where tables have just grown the planner takes many lines for few, and would
-- read all of them again for each account.
SET LOCAL enable_nestloop = off;

-- name: rows_analyze
SELECT provisioner.analyze_import();

-- name: projects_check
-- What a project that cannot be seen has in it, no later check may tell: its lines get project 0.
WITH hidden AS (
    UPDATE provisioner.import_rows AS line
       SET bad = true, project_id = 0
     WHERE line.import_id = %(import_id)s
       AND NOT EXISTS (
           SELECT FROM provisioner.projects
            WHERE projects.id = line.project_id
              AND {project_scope})
    RETURNING line.line
)
INSERT INTO provisioner.import_errors (import_id, line, field, detail)
SELECT %(import_id)s, line, 'project_id', %(project_unknown)s
  FROM hidden
 ORDER BY line
 LIMIT %(errors_max)s;

-- name: numbers_check
WITH found (line, field, detail) AS (
    SELECT line, 'number', format(%(repeated)s, first)
      FROM (SELECT line, min(line) OVER (PARTITION BY number) AS first
              FROM provisioner.import_rows
             WHERE import_id = %(import_id)s AND number IS NOT NULL) AS lines
     WHERE line > first
    UNION ALL
    SELECT line, 'external_id', format(%(repeated)s, first)
      FROM (SELECT line, min(line) OVER (PARTITION BY customer_id, lines.external_id) AS first
              FROM provisioner.import_rows AS lines
              JOIN provisioner.projects ON projects.id = project_id
             WHERE import_id = %(import_id)s AND lines.external_id IS NOT NULL) AS lines
     WHERE line > first
    UNION ALL
    SELECT line, 'number', %(number_exists)s
      FROM provisioner.import_rows
      JOIN provisioner.numbers USING (number)
     WHERE import_id = %(import_id)s
    UNION ALL
    SELECT line, 'external_id', %(external_id_taken)s
      FROM provisioner.import_rows AS lines
      JOIN provisioner.projects ON projects.id = lines.project_id
      JOIN provisioner.numbers
        ON (numbers.customer_id, numbers.external_id) = (projects.customer_id, lines.external_id)
     WHERE import_id = %(import_id)s
), marked AS (
    UPDATE provisioner.import_rows AS lines SET bad = true
      FROM (SELECT DISTINCT line FROM found) AS found
     WHERE lines.import_id = %(import_id)s AND lines.line = found.line AND NOT lines.bad
)
INSERT INTO provisioner.import_errors (import_id, line, field, detail)
SELECT %(import_id)s, line, field, detail
  FROM found
 ORDER BY line
 LIMIT %(errors_max)s;

-- name: accounts_check
WITH found (line, field, detail) AS (
    SELECT line, 'main_number', format(%(repeated)s, first)
      FROM (SELECT line, min(line) OVER (PARTITION BY number) AS first
              FROM provisioner.import_rows
             WHERE import_id = %(import_id)s AND number IS NOT NULL) AS lines
     WHERE line > first
    UNION ALL
    SELECT line, 'name', format(%(repeated)s, first)
      FROM (SELECT line, min(line) OVER (PARTITION BY project_id, name) AS first
              FROM provisioner.import_rows
             WHERE import_id = %(import_id)s AND name IS NOT NULL AND project_id <> 0) AS lines
     WHERE line > first
    UNION ALL
    SELECT line, 'external_id', format(%(repeated)s, first)
      FROM (SELECT line, min(line) OVER (PARTITION BY customer_id, lines.external_id) AS first
              FROM provisioner.import_rows AS lines
              JOIN provisioner.projects ON projects.id = project_id
             WHERE import_id = %(import_id)s AND lines.external_id IS NOT NULL) AS lines
     WHERE line > first
    UNION ALL
    SELECT line, 'main_number',
           CASE WHEN numbers.number IS NULL THEN %(number_unknown)s
                WHEN numbers.account_id IS NOT NULL THEN %(number_taken)s
                ELSE %(number_not_active)s
           END
      FROM provisioner.import_rows AS lines
      LEFT JOIN provisioner.numbers
        ON numbers.number = lines.number AND numbers.project_id = lines.project_id
     WHERE import_id = %(import_id)s AND lines.number IS NOT NULL AND lines.project_id <> 0
       AND (numbers.number IS NULL OR numbers.account_id IS NOT NULL OR numbers.state <> 'active')
    UNION ALL
    SELECT line, 'main_number', %(username_taken)s
      FROM provisioner.import_rows AS lines
      JOIN provisioner.numbers
        ON numbers.number = lines.number AND numbers.project_id = lines.project_id
      JOIN kamailio.subscriber
        ON subscriber.username = substr(lines.number, 2) AND subscriber.domain = %(realm)s
     WHERE import_id = %(import_id)s AND numbers.account_id IS NULL
    UNION ALL
    SELECT line, 'name', %(name_taken)s
      FROM provisioner.import_rows AS lines
      JOIN provisioner.sip_accounts AS account
        ON (account.project_id, account.name) = (lines.project_id, lines.name)
     WHERE import_id = %(import_id)s
    UNION ALL
    SELECT line, 'external_id', %(external_id_taken)s
      FROM provisioner.import_rows AS lines
      JOIN provisioner.projects ON projects.id = lines.project_id
      JOIN provisioner.sip_accounts AS account
        ON (account.customer_id, account.external_id) = (projects.customer_id, lines.external_id)
     WHERE import_id = %(import_id)s
), marked AS (
    UPDATE provisioner.import_rows AS lines SET bad = true
      FROM (SELECT DISTINCT line FROM found) AS found
     WHERE lines.import_id = %(import_id)s AND lines.line = found.line AND NOT lines.bad
)
INSERT INTO provisioner.import_errors (import_id, line, field, detail)
SELECT %(import_id)s, line, field, detail
  FROM found
 ORDER BY line
 LIMIT %(errors_max)s;

-- name: error_insert
INSERT INTO provisioner.import_errors (import_id, line, field, detail)
VALUES (%(import_id)s, %(line)s, %(field)s, %(detail)s);

-- name: errors_cut
-- Each check has reported its first lines; the first of all are kept.
DELETE FROM provisioner.import_errors
 WHERE import_id = %(import_id)s AND ctid NOT IN (
       SELECT ctid FROM provisioner.import_errors
        WHERE import_id = %(import_id)s
        ORDER BY line, field
        LIMIT %(errors_max)s);

-- name: numbers_insert
INSERT INTO provisioner.numbers (number, project_id, customer_id, state, external_id)
SELECT number, project_id, customer_id, state, lines.external_id
  FROM provisioner.import_rows AS lines
  JOIN provisioner.projects ON projects.id = project_id
 WHERE import_id = %(import_id)s AND NOT bad
 ORDER BY line;

-- name: accounts_insert
INSERT INTO provisioner.sip_accounts
       (project_id, customer_id, external_id, name, main_number, voice_channels, tariff,
        cloudfire_only, allowed_networks, state)
SELECT project_id, customer_id, lines.external_id, lines.name, number, voice_channels, tariff,
       cloudfire_only, coalesce(allowed_networks::cidr[], '{}'), state
  FROM provisioner.import_rows AS lines
  JOIN provisioner.projects ON projects.id = project_id
 WHERE import_id = %(import_id)s AND NOT bad
 ORDER BY line;

-- name: numbers_take
-- Binds every account's main number to it; fewer rows than accounts: somebody else was faster.
UPDATE provisioner.numbers
   SET account_id = account.id,
       generation = nextval('provisioner.generation'), changed_at = now()
  FROM provisioner.import_rows AS lines
  JOIN provisioner.sip_accounts AS account ON account.main_number = lines.number
 WHERE lines.import_id = %(import_id)s AND NOT lines.bad
   AND numbers.number = lines.number AND numbers.project_id = lines.project_id
   AND numbers.state = 'active' AND numbers.account_id IS NULL;

-- name: tariffs_insert
INSERT INTO provisioner.account_tariffs (account_id, tariff, via, actor_name)
SELECT account.id, account.tariff, %(via)s, %(actor_name)s
  FROM provisioner.import_rows AS lines
  JOIN provisioner.sip_accounts AS account ON account.main_number = lines.number
 WHERE lines.import_id = %(import_id)s AND NOT lines.bad
 ORDER BY lines.line;

-- name: numbers_audit
-- One event a number, as if each had been created by itself: whoever asks later how a number came
-- here, asks for the number, not for an import.
WITH told AS (
INSERT INTO provisioner.audit_events
       (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
        project_id, version, after)
SELECT %(via)s, %(actor_id)s, %(actor_name)s, %(source)s, %(request_id)s, 'number.created',
       'number', number, numbers.customer_id, numbers.project_id, numbers.generation,
       jsonb_build_object(
           'number', number, 'external_id', numbers.external_id,
           'customer_id', numbers.customer_id, 'project_id', numbers.project_id,
           'state', numbers.state, 'account_id', numbers.account_id)
  FROM provisioner.import_rows AS lines
  JOIN provisioner.numbers USING (number)
 WHERE import_id = %(import_id)s AND NOT bad
 ORDER BY line
RETURNING *)
{publish_told};

-- name: accounts_audit
-- One event an account, see numbers_audit.
WITH told AS (
INSERT INTO provisioner.audit_events
       (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
        project_id, version, after)
SELECT %(via)s, %(actor_id)s, %(actor_name)s, %(source)s, %(request_id)s, 'account.created',
       'account', account.id::text, account.customer_id, account.project_id, account.generation,
       jsonb_build_object(
           'id', account.id, 'external_id', account.external_id,
           'customer_id', account.customer_id, 'project_id', account.project_id,
           'name', account.name, 'main_number', account.main_number,
           'voice_channels', account.voice_channels, 'tariff', account.tariff,
           'cloudfire_only', account.cloudfire_only,
           'allowed_networks', nullif(account.allowed_networks, '{}')::text[], 'state', account.state)
  FROM provisioner.import_rows AS lines
  JOIN provisioner.sip_accounts AS account ON account.main_number = lines.number
 WHERE lines.import_id = %(import_id)s AND NOT lines.bad
 ORDER BY lines.line
RETURNING *)
{publish_told};

-- name: accounts_made
-- The new accounts, for those who make their passwords.
SELECT account.id, account.main_number
  FROM provisioner.import_rows AS lines
  JOIN provisioner.sip_accounts AS account ON account.main_number = lines.number
 WHERE lines.import_id = %(import_id)s AND NOT lines.bad
 ORDER BY lines.line;

-- name: credentials_copy
-- In binary: of a line of text that fails, PostgreSQL's log repeats the hashes.
COPY provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
FROM STDIN WITH (FORMAT binary);

-- name: subscribers_insert
-- Fewer rows than accounts: the operator has added a row of his own since the check.
INSERT INTO kamailio.subscriber
       (account_id, username, domain, password, ha1b, ha1, ha1_sha256, registration_allowed,
        channels, source_group, allowed_networks)
SELECT desired.account_id, username, domain, password, ha1b, ha1, ha1_sha256,
       registration_allowed, channels, source_group, desired.allowed_networks
  FROM provisioner.import_rows AS lines
  JOIN provisioner.sip_accounts AS account ON account.main_number = lines.number
  JOIN provisioner.desired_subscriber AS desired ON desired.account_id = account.id
 WHERE lines.import_id = %(import_id)s AND NOT lines.bad
    ON CONFLICT DO NOTHING;

-- name: constraints_now
-- The deferred checks of all rows, which would otherwise make the commit long.
SET CONSTRAINTS ALL IMMEDIATE;
