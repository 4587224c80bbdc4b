-- Pending work knows the request that left it, so that a change can be followed from HTTP to each
-- node's confirmation. A version that does not know these columns leaves them empty.

ALTER TABLE provisioner.pending_kicks
    ADD COLUMN account_id bigint, ADD COLUMN request_id text, ADD COLUMN traceparent text,
    ADD COLUMN asked_at timestamptz;
ALTER TABLE provisioner.pending_reloads
    ADD COLUMN request_id text, ADD COLUMN traceparent text, ADD COLUMN asked_at timestamptz;

COMMENT ON COLUMN provisioner.pending_kicks.account_id IS
    'whose username it was; for logs, which name no phone numbers';
COMMENT ON COLUMN provisioner.pending_kicks.request_id IS
    'the newest change''s, as in the audit trail; null: no request''s';
COMMENT ON COLUMN provisioner.pending_kicks.traceparent IS
    'W3C Trace Context: the span in which the work was left, if it is traced';
COMMENT ON COLUMN provisioner.pending_kicks.asked_at IS
    'when the newest change left the work, a moment before it was committed';

-- What is done later, by the worker, goes on under the id of the request that asked for it.
ALTER TABLE provisioner.incoming_events ADD COLUMN request_id text;
ALTER TABLE provisioner.credential_changes ADD COLUMN request_id text;
