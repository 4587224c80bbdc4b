-- What makes the worker fast with many accounts at once, and forgets what is old.

-- What is due of what no node has confirmed is found without what waits for its second look, and a
-- confirmation is told to one index. The order of the key serves whoever asks about a username.
ALTER TABLE provisioner.pending_kicks
    DROP CONSTRAINT pending_kicks_pkey, ADD PRIMARY KEY (username, node_id);
CREATE INDEX pending_kicks_unconfirmed_idx ON provisioner.pending_kicks (node_id, due_at)
    WHERE confirmed_at IS NULL;
DROP INDEX provisioner.pending_kicks_due_idx;
DROP INDEX provisioner.pending_kicks_username_idx;

GRANT DELETE ON provisioner.repairs TO provisioner;
