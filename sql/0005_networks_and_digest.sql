-- An account's own networks, digest with SHA-256, and credentials that change at a chosen time.

ALTER TABLE provisioner.sip_accounts
    ADD COLUMN allowed_networks cidr[] NOT NULL DEFAULT '{}'
               CHECK (cardinality(allowed_networks) <= 50);
COMMENT ON COLUMN provisioner.sip_accounts.allowed_networks IS
    'the customer''s own networks; with cloudfire_only a source in either is in, with neither any is';

ALTER TABLE kamailio.subscriber ADD COLUMN allowed_networks text NOT NULL DEFAULT '';
COMMENT ON COLUMN kamailio.subscriber.allowed_networks IS
    'networks that the source may be in as well, separated by commas; empty: none of its own';

-- Kamailio's is_in_subnet masks an IPv6 source in place, so that an entry spoils those after it:
-- "4::/16,::/128" lets ::1 in. With the longest prefix first each mask only takes away bits that
-- the next one takes away, too.
CREATE OR REPLACE VIEW provisioner.desired_subscriber AS
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
       END                                AS source_group,
       -- Hence its own networks do not count as long as it is linked to Teams.
       CASE WHEN account.state = 'linked_to_teams' OR account.allowed_networks = '{}' THEN ''
            ELSE (SELECT string_agg(own::text, ',' ORDER BY masklen(own) DESC, own)
                    FROM unnest(account.allowed_networks) AS own)
       END                                AS allowed_networks
  FROM provisioner.sip_accounts AS account
  JOIN provisioner.credentials ON credentials.account_id = account.id;

-- The same view again, for the columns that its accounts have now.
DROP VIEW provisioner.account_status;
CREATE VIEW provisioner.account_status AS
SELECT account.*, substr(account.main_number, 2) AS username, installation.realm,
       credentials.rotated_at,
       (SELECT count(*) FROM provisioner.nodes) AS nodes_total,
       ARRAY(SELECT nodes.name
               FROM provisioner.nodes
              WHERE nodes.state = 'catching_up' OR nodes.last_compared_at IS NULL
                 OR EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                             WHERE kick.node_id = nodes.id AND kick.confirmed_at IS NULL
                               AND kick.username = substr(account.main_number, 2))
              ORDER BY nodes.name) AS pending_nodes
  FROM provisioner.sip_accounts AS account
 CROSS JOIN provisioner.installation
  LEFT JOIN provisioner.credentials ON credentials.account_id = account.id;
GRANT SELECT ON provisioner.account_status TO provisioner;

-- As before, with both hashes and the account's own networks. A hash that is missing is made up
-- like that of an unknown username: an empty one would be known to everybody.
DROP FUNCTION kamailio.cred(text, text);
CREATE FUNCTION kamailio.cred(wanted_username text, wanted_realm text)
RETURNS TABLE (
    ha1 text, ha1_sha256 text, registration_allowed integer, source_group integer,
    allowed_networks text, channels integer, account_id bigint
)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
        SELECT s.ha1::text,
               CASE s.ha1_sha256
                   WHEN '' THEN md5(gen_random_uuid()::text) || md5(gen_random_uuid()::text)
                   ELSE s.ha1_sha256::text
               END,
               s.registration_allowed::integer, s.source_group, s.allowed_networks, s.channels,
               coalesce(s.account_id, 0)
          FROM kamailio.subscriber AS s
         WHERE s.username = wanted_username AND s.domain = wanted_realm AND s.ha1 <> '';
    IF NOT FOUND THEN
        RETURN QUERY
            SELECT md5(gen_random_uuid()::text),
                   md5(gen_random_uuid()::text) || md5(gen_random_uuid()::text),
                   0, 0, '', 0, 0::bigint;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION kamailio.cred(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kamailio.cred(text, text) TO kamailio;

-- What becomes of an account's credentials at a chosen time. The secret has been shown already;
-- its hashes wait here, and are nowhere else until then.
CREATE TABLE provisioner.credential_changes (
    account_id bigint PRIMARY KEY REFERENCES provisioner.sip_accounts ON DELETE CASCADE,
    due_at     timestamptz NOT NULL,
    ha1        text CHECK (ha1 ~ '^[0-9a-f]{32}$'),
    ha1_sha256 text CHECK (ha1_sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((ha1 IS NULL) = (ha1_sha256 IS NULL))
);
CREATE INDEX credential_changes_due_idx ON provisioner.credential_changes (due_at);
COMMENT ON COLUMN provisioner.credential_changes.ha1 IS 'null: the credentials expire';
CREATE TRIGGER wake_worker AFTER INSERT OR UPDATE ON provisioner.credential_changes
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.wake_worker();
GRANT SELECT, INSERT, UPDATE, DELETE ON provisioner.credential_changes TO provisioner;
