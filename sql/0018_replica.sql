-- The replica that a node reads credentials from, as its worker last saw it.

ALTER TABLE provisioner.nodes
    ADD COLUMN replica text,
    ADD COLUMN replica_state text CHECK (replica_state IN ('used', 'behind', 'away')),
    ADD COLUMN replica_lag double precision;
COMMENT ON COLUMN provisioner.nodes.replica IS 'its address; null: there is none';
COMMENT ON COLUMN provisioner.nodes.replica_lag IS
    'seconds until it showed what the worker wrote last, or since what it shows; null: it does not answer';
