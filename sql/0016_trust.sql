-- Since when a node has been behind, so that the worker can say how far it may be trusted.

ALTER TABLE provisioner.pending_kicks
    ADD COLUMN behind_since timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN provisioner.pending_kicks.behind_since IS
    'no later than the commit of the oldest change that the node has not confirmed';
