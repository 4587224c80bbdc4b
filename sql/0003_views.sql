-- The projection: the rows of Kamailio's tables that ought to exist. Account operations copy from
-- these views in their own transaction, and the comparison subtracts them from the tables, so that
-- the rule "which account has which row" is written once. Below it, what is shown of convergence.

CREATE VIEW provisioner.desired_subscriber AS
SELECT account.id                         AS account_id,
       credentials.username,
       credentials.realm                  AS domain,
       ''::text                           AS password,
       ''::text                           AS ha1b,
       credentials.ha1,
       credentials.ha1_sha256,
       account.state <> 'disabled'        AS registration_allowed,
       account.voice_channels             AS channels,
       -- A Teams account's credentials register only from CloudFire's networks.
       CASE WHEN account.cloudfire_only OR account.state = 'linked_to_teams'
            THEN (SELECT source_group FROM provisioner.networks WHERE name = 'cloudfire')
            ELSE 0
       END                                AS source_group
  FROM provisioner.sip_accounts AS account
  JOIN provisioner.credentials ON credentials.account_id = account.id;

CREATE VIEW provisioner.desired_address AS
SELECT network.id                AS network_id,
       network.source_group      AS grp,
       host(network_cidrs.cidr)  AS ip_addr,
       masklen(network_cidrs.cidr) AS mask,
       0::smallint               AS port,
       network.name              AS tag
  FROM provisioner.networks AS network
  JOIN provisioner.network_cidrs ON network_cidrs.network_id = network.id;

-- An account with its convergence: the nodes that have yet to confirm it, or to be compared since
-- they were added or restarted. Work is kept by username,
-- because it outlives an account: the next one on the same number waits for it, too.
CREATE VIEW provisioner.account_status AS
SELECT account.*, credentials.username, credentials.realm,
       (SELECT count(*) FROM provisioner.nodes) AS nodes_total,
       ARRAY(SELECT nodes.name
               FROM provisioner.nodes
              WHERE nodes.state = 'catching_up' OR nodes.last_compared_at IS NULL
                 OR EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                             WHERE kick.node_id = nodes.id AND kick.confirmed_at IS NULL
                               AND kick.username = credentials.username)
              ORDER BY nodes.name) AS pending_nodes
  FROM provisioner.sip_accounts AS account
  JOIN provisioner.credentials ON credentials.account_id = account.id;

-- A network with its convergence: the nodes that have yet to load the allowlists.
CREATE VIEW provisioner.network_status AS
SELECT network.*,
       ARRAY(SELECT cidr::text FROM provisioner.network_cidrs
              WHERE network_id = network.id ORDER BY cidr) AS cidrs,
       (SELECT count(*) FROM provisioner.nodes) AS nodes_total,
       ARRAY(SELECT nodes.name
               FROM provisioner.pending_reloads AS reload
               JOIN provisioner.nodes ON nodes.id = reload.node_id
              ORDER BY nodes.name) AS pending_nodes
  FROM provisioner.networks AS network;

GRANT SELECT ON
    provisioner.desired_subscriber, provisioner.desired_address,
    provisioner.account_status, provisioner.network_status TO provisioner;
