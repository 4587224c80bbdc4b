-- Trunks as nodes load them; calls that nodes no longer know; calls of accounts that are disabled.

ALTER TABLE provisioner.repairs DROP CONSTRAINT repairs_target_check;
ALTER TABLE provisioner.repairs ADD CONSTRAINT repairs_target_check CHECK (
    target IN ('subscriber', 'address', 'binding', 'allowlist', 'trunks', 'call'));

-- What a node calls itself since it started, as its calls and its lease do.
ALTER TABLE provisioner.nodes ADD COLUMN incarnation text;
COMMENT ON COLUMN provisioner.nodes.incarnation IS 'null: not asked yet, or it has no calls';
