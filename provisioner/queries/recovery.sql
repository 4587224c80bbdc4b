-- What a restored database must forget: the cluster that it was taken from.

-- name: service_connections
SELECT count(*) AS number FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND usename IN ('provisioner', 'kamailio');

-- name: calls_end
-- Calls that were in progress become records of calls that were lost.
WITH gone AS MATERIALIZED (SELECT DISTINCT node FROM kamailio.calls)
SELECT kamailio.forget_node(node) FROM gone;

-- name: leases_end
DELETE FROM kamailio.node_leases;

-- name: bindings_forget
DELETE FROM kamailio.location;

-- name: binding_attributes_forget
DELETE FROM kamailio.location_attrs;

-- name: nodes_forget
-- Their pending work goes with them.
DELETE FROM provisioner.nodes;

-- name: sessions_end
DELETE FROM provisioner.sessions;

-- name: sequences_advance
-- What was given out after the backup was taken is not given out again.
SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass,
              coalesce(last_value, start_value) + %(step)s)
  FROM pg_sequences
 WHERE schemaname IN ('provisioner', 'kamailio') AND data_type = 'bigint'::regtype;

-- name: endpoints_silence
UPDATE provisioner.webhook_endpoints SET active = false WHERE active;

-- name: sealed
SELECT sealed FROM provisioner.hook_source_keys
UNION ALL
SELECT sealed FROM provisioner.webhook_endpoint_keys
UNION ALL
SELECT totp_sealed FROM provisioner.users WHERE totp_sealed IS NOT NULL;
