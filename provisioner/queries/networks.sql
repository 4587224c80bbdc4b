-- Networks that accounts share.

-- name: networks
SELECT * FROM provisioner.network_status ORDER BY name;

-- name: network
SELECT * FROM provisioner.network_status WHERE name = %(name)s;

-- name: cidrs_replace
-- Makes a network consist of these, as a new generation. No row: it does already.
WITH gone AS (
    DELETE FROM provisioner.network_cidrs AS present
     USING provisioner.networks
     WHERE networks.id = present.network_id AND networks.name = %(name)s
       AND NOT present.cidr = ANY (%(cidrs)s::cidr[])
    RETURNING present.cidr),
come AS (
    INSERT INTO provisioner.network_cidrs (network_id, cidr)
    SELECT id, unnest(%(cidrs)s::cidr[]) FROM provisioner.networks WHERE name = %(name)s
    ON CONFLICT DO NOTHING
    RETURNING cidr)
UPDATE provisioner.networks
   SET generation = nextval('provisioner.generation'), changed_at = now(), converged_at = now()
 WHERE name = %(name)s AND EXISTS (SELECT FROM gone UNION ALL SELECT FROM come)
RETURNING id;

-- name: networks_lock
-- Whoever changes a network or its projection holds these locks, so that changes follow each other.
SELECT id FROM provisioner.networks ORDER BY id FOR UPDATE;

-- name: addresses_erase
-- Removes our rows that ought not to exist; rows of the operator's own stay.
DELETE FROM kamailio.address AS present
 WHERE present.network_id IS NOT NULL
   AND NOT EXISTS (
       SELECT FROM provisioner.desired_address AS desired
        WHERE (desired.network_id, desired.grp, desired.ip_addr, desired.mask, desired.port)
            = (present.network_id, present.grp, present.ip_addr, present.mask, present.port));

-- name: addresses_project
-- Kamailio loads rows sorted by address several times as fast as others.
INSERT INTO kamailio.address (network_id, grp, ip_addr, mask, port, tag)
SELECT network_id, grp, ip_addr, mask, port, tag
  FROM provisioner.desired_address
 ORDER BY ip_addr::inet
ON CONFLICT (network_id, ip_addr, mask) DO UPDATE SET tag = excluded.tag
 WHERE address.tag IS DISTINCT FROM excluded.tag;

-- name: reload
-- Leaves work for one node, or for all where node_id is null: load the allowlists again.
INSERT INTO provisioner.pending_reloads
       (node_id, generation, request_id, traceparent, asked_at)
SELECT id, nextval('provisioner.generation'), %(request_id)s, %(traceparent)s, clock_timestamp()
  FROM provisioner.nodes
 WHERE %(node_id)s::bigint IS NULL OR id = %(node_id)s
ON CONFLICT (node_id) DO UPDATE
   SET generation = excluded.generation, due_at = now(), request_id = excluded.request_id,
       traceparent = excluded.traceparent, asked_at = excluded.asked_at;

-- name: reloads_unconfirmed
SELECT count(*) AS pending FROM provisioner.pending_reloads;
