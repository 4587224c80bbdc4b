-- All that an actor sees, for a file; nothing of it is secret. Each has its importable columns first.

-- name: numbers
SELECT number, state, external_id, project_id, account_id, created_at
  FROM provisioner.numbers
 WHERE {scope} AND (%(project_id)s::bigint IS NULL OR project_id = %(project_id)s)
 ORDER BY number;

-- name: accounts
SELECT name, main_number, voice_channels, tariff, cloudfire_only,
       allowed_networks::text[] AS allowed_networks, state, external_id, project_id, id,
       substr(main_number, 2) AS username, realm,
       ARRAY(SELECT number FROM provisioner.numbers
              WHERE account_id = account.id AND number <> account.main_number
              ORDER BY number) AS additional_numbers,
       created_at, changed_at
  FROM provisioner.sip_accounts AS account, provisioner.installation
 WHERE {scope} AND (%(project_id)s::bigint IS NULL OR project_id = %(project_id)s)
 ORDER BY id;

-- name: customers
SELECT id, name, external_id, created_at, changed_at
  FROM provisioner.customers
 WHERE {customer_scope} AND %(project_id)s::bigint IS NULL
 ORDER BY id;

-- name: projects
SELECT id, customer_id, name, external_id, created_at, changed_at
  FROM provisioner.projects
 WHERE {project_scope} AND (%(project_id)s::bigint IS NULL OR id = %(project_id)s)
 ORDER BY id;
