-- What is a fact of the database at this moment, for Prometheus. Each of these reads what is pending or
-- in progress, never what has been: it takes no longer on a system with many accounts.

-- name: nodes
SELECT node.name, node.draining::integer AS draining, node.replica_state,
       coalesce(node.replica_lag, 0) AS replica_lag, extract(epoch FROM node.last_seen_at) AS last_seen,
       extract(epoch FROM node.last_compared_at) AS last_compared,
       CASE WHEN node.state = 'up' AND node.last_seen_at < now() - interval '10 s' THEN 'unwatched'
            ELSE node.state
       END AS state,
       kicks.pending AS kicks, coalesce(reloads.pending, 0) AS reloads,
       greatest(0, extract(epoch FROM clock_timestamp() - least(kicks.oldest, reloads.oldest)))
           AS oldest
  FROM provisioner.nodes AS node
 CROSS JOIN LATERAL (
       SELECT count(*) AS pending, min(pending_since) AS oldest
         FROM provisioner.pending_kicks WHERE node_id = node.id AND confirmed_at IS NULL) AS kicks
 CROSS JOIN LATERAL (
       SELECT count(*) AS pending, min(pending_since) AS oldest
         FROM provisioner.pending_reloads WHERE node_id = node.id) AS reloads
 ORDER BY node.name;

-- name: calls
SELECT count(DISTINCT leg.call) FILTER (WHERE live.state = 'ringing') AS ringing,
       count(DISTINCT leg.call) FILTER (WHERE live.state = 'answered') AS answered,
       count(*) FILTER (WHERE live.counted) AS channels
  FROM provisioner.live_calls AS live
  JOIN kamailio.calls AS leg USING (id);

-- name: webhooks
SELECT count(*) AS pending,
       greatest(0, extract(epoch FROM now() - min(due_since))) AS oldest
  FROM provisioner.webhook_deliveries
 WHERE state = 'pending';

-- name: events
SELECT status, count(*) AS events
  FROM provisioner.incoming_events
 WHERE status IN ('waiting', 'conflict', 'rejected')
 GROUP BY status;

-- name: imports
SELECT status, count(*) AS imports
  FROM provisioner.imports
 WHERE status IN ('validating', 'applying')
 GROUP BY status;

-- name: guessing
SELECT count(*) AS accounts FROM provisioner.guessing WHERE last_at > now() - interval '10 min';
