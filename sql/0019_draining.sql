-- Nodes that are emptied, so that they can be stopped without a call being lost.

ALTER TABLE provisioner.nodes
    ADD COLUMN draining boolean NOT NULL DEFAULT false,
    ADD COLUMN refuses_since timestamptz,
    ADD COLUMN dialogs integer;
COMMENT ON COLUMN provisioner.nodes.draining IS 'what is wanted: true: it takes nothing new';
COMMENT ON COLUMN provisioner.nodes.refuses_since IS
    'since when its worker sees that it takes nothing new; null: it takes what comes, or does not answer';
COMMENT ON COLUMN provisioner.nodes.dialogs IS
    'the calls in progress at it when it was looked at last; null: not known';

-- A node that was added gets its thread at once.
CREATE TRIGGER wake_worker AFTER INSERT ON provisioner.nodes
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.wake_worker();

-- What nodes that drain call themselves, as Kamailio's module htable reads a table when it starts: one
-- that restarts drains from its first moment, before its worker has looked at it.
CREATE VIEW kamailio.draining_nodes AS
SELECT coalesce(split_part(incarnation, '/', 1), name) AS key_name, 0 AS key_type, 1 AS value_type,
       '1'::text AS key_value, 0 AS expires
  FROM provisioner.nodes
 WHERE draining;

GRANT SELECT ON kamailio.draining_nodes TO kamailio;
