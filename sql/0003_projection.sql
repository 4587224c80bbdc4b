-- The projection: the rows of Kamailio's tables that ought to exist, as views. Account operations
-- copy from them in their own transaction, and the comparison subtracts them from the tables, so
-- that the rule "which account has which row" is written once.

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

GRANT SELECT ON provisioner.desired_subscriber, provisioner.desired_address TO provisioner;
