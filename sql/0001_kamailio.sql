-- Kamailio's standard tables (those of the modules in use), in a schema of their own.
-- Column names, types and table versions are Kamailio's contract (5.6 and 6.0 agree on them);
-- columns under "ours" are extensions that Kamailio's modules do not look at.

CREATE SCHEMA IF NOT EXISTS kamailio;

CREATE TABLE kamailio.version (
    id            serial PRIMARY KEY,
    table_name    varchar(32) NOT NULL UNIQUE,
    table_version integer NOT NULL DEFAULT 0
);
INSERT INTO kamailio.version (table_name, table_version)
VALUES ('version', 1), ('subscriber', 7), ('address', 6), ('location', 9), ('location_attrs', 1);

CREATE TABLE kamailio.subscriber (
    id       serial PRIMARY KEY,
    username varchar(64)  NOT NULL DEFAULT '',
    domain   varchar(64)  NOT NULL DEFAULT '',
    password varchar(64)  NOT NULL DEFAULT '',
    -- Kamailio copies the hash into a buffer of 256 bytes without looking: keep it short.
    ha1      varchar(128) NOT NULL DEFAULT '',
    ha1b     varchar(128) NOT NULL DEFAULT '',
    -- ours
    account_id           bigint UNIQUE,
    ha1_sha256           varchar(64) NOT NULL DEFAULT '',
    registration_allowed boolean NOT NULL DEFAULT true,
    channels             integer NOT NULL DEFAULT 0,
    source_group         integer NOT NULL DEFAULT 0,
    CONSTRAINT subscriber_account_idx UNIQUE (username, domain),
    CONSTRAINT subscriber_no_clear_text CHECK (account_id IS NULL OR password = '')
);
COMMENT ON COLUMN kamailio.subscriber.account_id IS
    'provisioner.sip_accounts.id; rows without it belong to the operator and are never touched';
COMMENT ON COLUMN kamailio.subscriber.registration_allowed IS
    'false: the right password is answered with 403';
COMMENT ON COLUMN kamailio.subscriber.source_group IS
    'group in address that the source must be in; 0: any source';

CREATE TABLE kamailio.address (
    id      serial PRIMARY KEY,
    grp     integer     NOT NULL DEFAULT 1 CHECK (grp > 0),
    ip_addr varchar(50) NOT NULL,
    mask    integer     NOT NULL DEFAULT 32 CHECK (mask BETWEEN 0 AND 128),
    port    smallint    NOT NULL DEFAULT 0,
    tag     varchar(64),
    -- ours
    network_id bigint,
    CONSTRAINT address_network_idx UNIQUE (network_id, ip_addr, mask)
);
COMMENT ON COLUMN kamailio.address.network_id IS
    'provisioner.networks.id; rows without it belong to the operator and are never touched';

CREATE TABLE kamailio.location (
    id            serial PRIMARY KEY,
    ruid          varchar(64)  NOT NULL DEFAULT '' UNIQUE,
    username      varchar(64)  NOT NULL DEFAULT '',
    domain        varchar(64),
    contact       varchar(512) NOT NULL DEFAULT '',
    received      varchar(128),
    path          varchar(512),
    expires       timestamp    NOT NULL DEFAULT '2030-05-28 21:32:15',
    q             real         NOT NULL DEFAULT 1.0,
    callid        varchar(255) NOT NULL DEFAULT 'Default-Call-ID',
    cseq          integer      NOT NULL DEFAULT 1,
    last_modified timestamp    NOT NULL DEFAULT '2000-01-01 00:00:01',
    flags         integer      NOT NULL DEFAULT 0,
    cflags        integer      NOT NULL DEFAULT 0,
    user_agent    varchar(255) NOT NULL DEFAULT '',
    socket        varchar(64),
    methods       integer,
    instance      varchar(255),
    reg_id        integer      NOT NULL DEFAULT 0,
    server_id     integer      NOT NULL DEFAULT 0,
    connection_id integer      NOT NULL DEFAULT 0,
    keepalive     integer      NOT NULL DEFAULT 0,
    partition     integer      NOT NULL DEFAULT 0
);
CREATE INDEX location_aor_idx ON kamailio.location (username, domain, contact);
CREATE INDEX location_expires_idx ON kamailio.location (expires);
CREATE INDEX location_connection_idx ON kamailio.location (server_id, connection_id);

CREATE TABLE kamailio.location_attrs (
    id            serial PRIMARY KEY,
    ruid          varchar(64)  NOT NULL DEFAULT '',
    username      varchar(64)  NOT NULL DEFAULT '',
    domain        varchar(64),
    aname         varchar(64)  NOT NULL DEFAULT '',
    atype         integer      NOT NULL DEFAULT 0,
    avalue        varchar(512) NOT NULL DEFAULT '',
    last_modified timestamp    NOT NULL DEFAULT '2000-01-01 00:00:01'
);
CREATE INDEX location_attrs_aor_idx ON kamailio.location_attrs (username, domain, ruid);

-- The one query of an authenticated request. It returns exactly one row whether the username
-- exists or not, at the same cost, so that neither the answer nor its timing tells which exist.
-- An unknown username gets a hash that nobody can know, made anew each time.
CREATE FUNCTION kamailio.cred(wanted_username text, wanted_realm text)
RETURNS TABLE (
    ha1 text, registration_allowed integer, source_group integer, channels integer, account_id bigint
)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
        SELECT s.ha1::text, s.registration_allowed::integer, s.source_group, s.channels,
               coalesce(s.account_id, 0)
          FROM kamailio.subscriber AS s
         WHERE s.username = wanted_username AND s.domain = wanted_realm AND s.ha1 <> '';
    IF NOT FOUND THEN
        RETURN QUERY SELECT md5(gen_random_uuid()::text), 0, 0, 0, 0::bigint;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION kamailio.cred(text, text) FROM PUBLIC;
GRANT USAGE ON SCHEMA kamailio TO kamailio, provisioner;
GRANT EXECUTE ON FUNCTION kamailio.cred(text, text) TO kamailio;
GRANT SELECT ON kamailio.version, kamailio.subscriber, kamailio.address TO kamailio;
GRANT SELECT, INSERT, UPDATE, DELETE ON kamailio.location, kamailio.location_attrs TO kamailio;
GRANT USAGE ON SEQUENCE kamailio.location_id_seq, kamailio.location_attrs_id_seq TO kamailio;

GRANT SELECT, INSERT, UPDATE, DELETE ON kamailio.subscriber, kamailio.address TO provisioner;
GRANT USAGE ON SEQUENCE kamailio.subscriber_id_seq, kamailio.address_id_seq TO provisioner;
GRANT SELECT, DELETE ON kamailio.location, kamailio.location_attrs TO provisioner;
