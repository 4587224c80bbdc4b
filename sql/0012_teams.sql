-- Microsoft Teams: the names that its trunks bring along.

-- From where Teams sends.
INSERT INTO provisioner.networks (name, source_group) VALUES ('teams', 3);

-- What Kamailio's domain module reads: the names that are this server's own in a route. It takes no
-- text.
CREATE VIEW kamailio.domain AS
SELECT min(id)::integer AS id, lower(fqdn)::varchar(253) AS domain, lower(fqdn)::varchar(253) AS did,
       max(changed_at) AS last_modified
  FROM provisioner.trunks WHERE kind = 'teams' GROUP BY lower(fqdn);
CREATE VIEW kamailio.domain_attrs AS
SELECT 0 AS id, ''::varchar(64) AS did, ''::varchar(32) AS name, 0 AS type,
       ''::varchar(255) AS value, now() AS last_modified
 WHERE false;
INSERT INTO kamailio.version (table_name, table_version) VALUES ('domain', 2), ('domain_attrs', 1);

-- Is one of the names of a certificate that of a trunk? The farms of Teams have names beside the one
-- that calls are sent to: sip-du-a-eu.pstnhub.microsoft.com. So where a trunk's domain has three
-- labels at least, it is its owner's, and every name in it will do.
CREATE FUNCTION kamailio.is_trunk_name(subject text, host_name text, address text)
RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
SELECT EXISTS (
    SELECT FROM provisioner.trunks, unnest(ARRAY[subject, host_name, address]) AS shown
     WHERE trunks.transport = 'tls' AND shown <> ''
       AND (lower(shown) = lower(host)
            OR lower(shown) = regexp_replace(lower(host), '^[^.]+', '*') AND host ~ '[a-z]'
            OR substr(lower(shown), strpos(shown, '.')) = substr(lower(host), strpos(host, '.'))
               AND lower(host) ~ '^[^.]+(\.[^.]+){3,}$' AND host !~ '^[0-9.]+$')
)::integer
$$;

-- The account that calls from Teams, by the name that Teams knows its project by; 0: there is none.
CREATE FUNCTION kamailio.teams_account(called_name text, caller text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
SELECT coalesce(max(account.id), 0)
  FROM kamailio.did
  JOIN provisioner.sip_accounts AS account ON account.id = did.account_id
 WHERE did.number = caller AND account.state = 'linked_to_teams'
   AND EXISTS (SELECT FROM provisioner.trunks
                WHERE kind = 'teams' AND trunks.project_id = account.project_id
                  AND lower(fqdn) = lower(called_name))
$$;

REVOKE ALL ON FUNCTION kamailio.is_trunk_name, kamailio.teams_account FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kamailio.is_trunk_name, kamailio.teams_account TO kamailio;
GRANT SELECT ON kamailio.domain, kamailio.domain_attrs TO kamailio;
