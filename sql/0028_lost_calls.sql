-- Without a transaction.
-- The true end of a call that had been given up is told by the call: of all records the few are found that
-- wait for one. No other record is in this index, so that none takes longer to write.
DROP INDEX CONCURRENTLY IF EXISTS provisioner.call_records_lost_idx;
CREATE INDEX CONCURRENTLY call_records_lost_idx ON provisioner.call_records (call) WHERE node_lost;
