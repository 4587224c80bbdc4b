-- What nodes keep of strangers, and tell people of.

-- The source of a binding, as kamailio/guard.cfg writes it: an IPv4 address, or the /64 of an IPv6 one;
-- NULL where it is neither.
CREATE FUNCTION kamailio.source_of(received text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    address text := substring(received FROM '^sip:\[([0-9A-Fa-f:.]+)\]');
BEGIN
    IF address IS NULL THEN
        RETURN substring(received FROM '^sip:([0-9.]+):');
    END IF;
    RETURN (SELECT string_agg(to_hex(256 * get_byte(bytes, i) + get_byte(bytes, i + 1)), ':' ORDER BY i)
              FROM substring(inet_send(address::inet) FROM 5) AS bytes, generate_series(0, 6, 2) AS i)
           || '::/64';
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END
$$;

-- The sources of all bindings, as Kamailio's module htable reads a table when it starts.
CREATE VIEW kamailio.homes AS
SELECT DISTINCT kamailio.source_of(received) AS key_name, 0 AS key_type, 1 AS value_type,
       '1'::text AS key_value, 0 AS expires
  FROM kamailio.location
 WHERE kamailio.source_of(received) IS NOT NULL;

-- Accounts whose password is guessed at from many addresses, one row an account.
CREATE TABLE provisioner.guessing (
    account_id bigint PRIMARY KEY REFERENCES provisioner.sip_accounts ON DELETE CASCADE,
    addresses  integer NOT NULL,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    told_at    timestamptz
);
COMMENT ON COLUMN provisioner.guessing.addresses IS 'the most that one node saw within ten minutes';

CREATE FUNCTION kamailio.note_guessing(account bigint, seen integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO provisioner.guessing (account_id, addresses)
    SELECT id, seen FROM provisioner.sip_accounts WHERE id = account
    ON CONFLICT (account_id) DO UPDATE
       SET addresses = greatest(guessing.addresses, excluded.addresses), last_at = now();
    RETURN 1;
END
$$;

REVOKE ALL ON FUNCTION kamailio.source_of(text), kamailio.note_guessing(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kamailio.source_of(text), kamailio.note_guessing(bigint, integer) TO kamailio;
GRANT SELECT ON kamailio.homes TO kamailio;
GRANT SELECT, UPDATE, DELETE ON provisioner.guessing TO provisioner;

-- As before, in one query: a second one for usernames that nobody has took 40 µs more. A hash that
-- nobody can know is made for every username; that its SHA-256 is made where it is needed only takes
-- as long as to read a row (within 1 µs).
CREATE OR REPLACE FUNCTION kamailio.cred(wanted_username text, wanted_realm text)
RETURNS TABLE (
    ha1 text, ha1_sha256 text, registration_allowed integer, source_group integer,
    allowed_networks text, channels integer, account_id bigint
)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
        SELECT coalesce(s.ha1::text, made_up.ha1),
               coalesce(nullif(s.ha1_sha256::text, ''),
                        encode(sha256(made_up.ha1::bytea), 'hex')),
               coalesce(s.registration_allowed::integer, 0), coalesce(s.source_group, 0),
               coalesce(s.allowed_networks, ''), coalesce(s.channels, 0),
               coalesce(s.account_id, 0)
          FROM (SELECT md5(gen_random_uuid()::text) AS ha1) AS made_up
          LEFT JOIN kamailio.subscriber AS s
            ON s.username = wanted_username AND s.domain = wanted_realm AND s.ha1 <> '';
END
$$;
