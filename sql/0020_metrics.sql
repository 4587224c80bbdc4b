-- Since when work for a node is pending: what is due is put off when a node refuses, this is not.
-- A row that is written again while it is pending keeps it.

ALTER TABLE provisioner.pending_kicks ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now();
ALTER TABLE provisioner.pending_reloads ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN provisioner.pending_kicks.pending_since IS
    'when the node was first asked for what it has not confirmed';
COMMENT ON COLUMN provisioner.pending_reloads.pending_since IS
    'when the node was first asked for what it has not confirmed';
