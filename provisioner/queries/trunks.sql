-- Trunks: the operator's carriers, and where calls of accounts that are linked to Teams go.

-- name: trunk
SELECT * FROM provisioner.trunks WHERE id = %(id)s;

-- name: trunk_lock
SELECT * FROM provisioner.trunks WHERE id = %(id)s FOR UPDATE;

-- name: trunk_insert
INSERT INTO provisioner.trunks
       (name, kind, project_id, host, port, transport, priority, keepalive, fqdn)
VALUES (%(name)s, %(kind)s, %(project_id)s, %(host)s, %(port)s, %(transport)s, %(priority)s,
        %(keepalive)s, %(fqdn)s)
RETURNING *;

-- name: trunk_update
UPDATE provisioner.trunks
   SET name = %(name)s, host = %(host)s, port = %(port)s, transport = %(transport)s,
       priority = %(priority)s, keepalive = %(keepalive)s, fqdn = %(fqdn)s, changed_at = now()
 WHERE id = %(id)s
RETURNING *;

-- name: trunk_delete
DELETE FROM provisioner.trunks WHERE id = %(id)s;

-- name: destinations
-- What every node's dispatcher ought to hold.
SELECT setid, destination, flags, priority, attrs FROM kamailio.dispatcher;
