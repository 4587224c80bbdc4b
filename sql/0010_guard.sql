-- Calls as people see them, and what the service asks of the guard rails.

-- The same view again, with the channels that are in use.
CREATE OR REPLACE VIEW provisioner.account_status AS
SELECT account.*, substr(account.main_number, 2) AS username,
       (SELECT realm FROM provisioner.installation) AS realm,
       (SELECT rotated_at FROM provisioner.credentials WHERE account_id = account.id) AS rotated_at,
       (SELECT count(*) FROM provisioner.nodes) AS nodes_total,
       ARRAY(SELECT nodes.name
               FROM provisioner.nodes
              WHERE nodes.state = 'catching_up' OR nodes.last_compared_at IS NULL
                 OR EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                             WHERE kick.node_id = nodes.id AND kick.confirmed_at IS NULL
                               AND kick.username = substr(account.main_number, 2))
              ORDER BY nodes.name) AS pending_nodes,
       (SELECT count(*) FROM provisioner.live_calls AS live
         WHERE live.account_id = account.id AND live.counted) AS channels_used
  FROM provisioner.sip_accounts AS account;

-- The guard rails of a project with what its calls cost today, those in progress included.
CREATE VIEW provisioner.call_policies AS
SELECT project.id, project.customer_id, project.allowed_prefixes, project.blocked_prefixes,
       project.daily_spend_cap, project.calls_per_second,
       coalesce((SELECT spend.amount + spend.running
                   FROM provisioner.project_spend AS spend
                  WHERE spend.project_id = project.id
                    AND spend.day = (now() AT TIME ZONE (SELECT time_zone
                                                           FROM provisioner.installation))::date),
                0) AS spent_today
  FROM provisioner.projects AS project;

GRANT SELECT ON provisioner.call_policies TO provisioner;
